import pytest


@pytest.fixture(autouse=True)
def _stored_files(db):
    """Every test stores the picture that it sends in."""
