"""The environment of processes that a test starts: they meet the test database, not the one beside it."""

import os
from urllib.parse import urlsplit, urlunsplit

SETTINGS = "config.settings.test"


def environment(**more: str) -> dict[str, str]:
    """Return the session's environment with DATABASE_URL of the test database.

    The test that calls it needs committed rows: `@pytest.mark.django_db(transaction=True)`.
    """
    return {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_URL": database_url(), **more}


def database_url() -> str:
    """Return the address of the database that Django's tests use now."""
    from django.db import connection

    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
