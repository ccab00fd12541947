"""What a test needs beside PostgreSQL and Valkey, and may miss: named at the end, and with CI=true a failure."""

import os
from typing import NoReturn

import pytest

ABSENT: dict[str, str] = {}


def absent(component: str, *, because: str) -> NoReturn:
    """Skip the test that asks, and have the end of the run name what was missing."""
    ABSENT[component] = because
    if os.environ.get("CI") == "true":
        pytest.fail(f"{component} is absent ({because}), and with CI=true nothing may be")
    pytest.skip(f"{component} is absent: {because}")
