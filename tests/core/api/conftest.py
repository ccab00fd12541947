import pytest

from tests.support.caller import Caller


@pytest.fixture
def viewer(db) -> Caller:
    return Caller.of("viewer")


@pytest.fixture
def operator(db) -> Caller:
    return Caller.of("operator")


@pytest.fixture
def admin(db) -> Caller:
    return Caller.of("admin")
