"""The contract of every store, kept by this one, under both kinds of levels; on a cluster of yours if LOCKS_URL names one."""

import os
from dataclasses import replace

import pytest

from locks.stores.cassandra import Address, CassandraStore, schema
from locks.testing.contract import StoreContract
from locks.testing.contract_locks import LocksContract

GIVEN = os.environ.get("LOCKS_URL", "")


if GIVEN.startswith("cassandra:"):
    @pytest.fixture(scope="module")
    def address():
        """Where the contract is kept."""
        given = Address.parse(GIVEN)
        schema.apply(given)
        return given
else:
    @pytest.fixture(scope="module")
    def address(shared_ring):
        return shared_ring.direct


class TestCassandraStore(StoreContract, LocksContract):
    @pytest.fixture
    def make_store(self, address):
        return lambda namespace: CassandraStore(address, namespace=namespace)


class TestCassandraStoreWithinOneDataCentre(StoreContract):
    @pytest.fixture
    def make_store(self, address):
        return lambda namespace: CassandraStore(replace(address, local=True), namespace=namespace)
