
import pytest

from locks.stores.postgresql import PostgresqlStore
from locks.testing.contract import StoreContract
from locks.testing.contract_locks import LocksContract


class TestPostgresql(StoreContract, LocksContract):
    @pytest.fixture
    def make_store(self, locks_database):
        return lambda namespace: PostgresqlStore(locks_database, namespace=namespace)
