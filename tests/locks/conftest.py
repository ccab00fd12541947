import pytest

from tests.locks import databases


@pytest.fixture(scope="session")
def locks_database():
    """The address of a PostgreSQL database with the schema of locks."""
    with databases.fresh() as url:
        yield url


@pytest.fixture
def empty_database():
    """The address of a PostgreSQL database without any tables."""
    with databases.empty() as url:
        yield url
