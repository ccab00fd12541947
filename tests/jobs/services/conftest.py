"""What the tests of services share."""

import pytest

from apps.jobs import publishing


@pytest.fixture
def rings(monkeypatch):
    """What was rung for, without a broker."""
    heard = []
    monkeypatch.setattr(publishing, "ring", lambda queue, *, count=1: heard.append((queue, count)))
    return heard
