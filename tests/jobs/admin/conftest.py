"""What the tests of the admin share: people, and what they see and press."""

import pytest

from tests.support.people import logged_in, person


@pytest.fixture
def viewer(db):
    return logged_in(person("viewer"))


@pytest.fixture
def operator(db):
    return logged_in(person("operator"))


@pytest.fixture
def admin(db):
    return logged_in(person("admin"))
