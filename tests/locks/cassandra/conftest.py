"""Three real nodes for this folder, started when the first test asks and ended with the last."""

from tests.support.cassandra.fixtures import ring, shared_ring

__all__ = ["ring", "shared_ring"]
