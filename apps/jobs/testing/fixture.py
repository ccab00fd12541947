"""The kit as a pytest fixture."""

import pytest

from apps.jobs import services
from apps.jobs.testing.assertions import assert_enqueued, refute_enqueued
from apps.jobs.testing.draining import drain
from apps.jobs.testing.handling import run_handler


class Kit:
    """All that a test of jobs needs under one name."""

    enqueue = staticmethod(services.enqueue)
    enqueue_many = staticmethod(services.enqueue_many)
    drain = staticmethod(drain)
    run_handler = staticmethod(run_handler)
    assert_enqueued = staticmethod(assert_enqueued)
    refute_enqueued = staticmethod(refute_enqueued)


@pytest.fixture
def jobs(db: None) -> Kit:  # noqa: ARG001  jobs are rows
    """Give the test kit, with the database that it needs."""
    return Kit()
