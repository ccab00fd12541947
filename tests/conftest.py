"""What is shared by tests in several folders, and so has to be known once."""

import pytest

from tests.support.cassandra.fixtures import in_order, paxos_rings, ring, shared_ring

__all__ = ["paxos_rings", "ring", "shared_ring"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_order(items)
