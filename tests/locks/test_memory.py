import pytest

from locks.stores.memory import MemoryStore
from locks.testing.contract import StoreContract
from locks.testing.contract_locks import LocksContract


class TestMemory(StoreContract, LocksContract):
    @pytest.fixture
    def make_store(self):
        """Stores of one namespace share their rows, as processes share a server."""
        stores = {}
        return lambda namespace: stores.setdefault(namespace, MemoryStore(namespace))
