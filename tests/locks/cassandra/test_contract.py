"""The contract of every store, kept by this one, under both kinds of levels."""

from dataclasses import replace

import pytest

from locks.stores.cassandra import CassandraStore
from locks.testing.contract import StoreContract
from locks.testing.contract_locks import LocksContract


class TestCassandraStore(StoreContract, LocksContract):
    @pytest.fixture
    def make_store(self, ring):
        return lambda namespace: CassandraStore(ring.direct, namespace=namespace)


class TestCassandraStoreWithinOneDataCentre(StoreContract):
    @pytest.fixture
    def make_store(self, ring):
        return lambda namespace: CassandraStore(replace(ring.direct, local=True), namespace=namespace)
