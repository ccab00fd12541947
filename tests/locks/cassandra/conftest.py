"""Three real nodes for this folder, started when the first test asks and ended with the last."""

import pytest

from tests.support.cassandra.fixtures import patient, ring, shared_ring

__all__ = ["ring", "shared_ring"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    patient(items, "shared_ring")
