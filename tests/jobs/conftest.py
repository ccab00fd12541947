"""What the tests of jobs share: a type that does nothing, and the broker as the outside sees it."""

import pytest

from tests.support.brokers import looking
from tests.support.factories import registered


@pytest.fixture
def echo():
    """The job type `test.echo`, registered for one test."""
    with registered() as kind:
        yield kind


@pytest.fixture
def broker():
    """A connection of the test's own to the session's broker, emptied."""
    with looking() as client:
        yield client
