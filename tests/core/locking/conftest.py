"""Locks in the session's database: somebody who holds them, and commands as they are typed."""

import io
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from core.ids import uuid7
from core.locking.opening import open_locks
from tests.support.caller import admin, operator, viewer

__all__ = ["admin", "operator", "viewer"]
LEASE = timedelta(seconds=30)


@dataclass(frozen=True)
class Answered:
    out: str
    err: str
    status: int

    @property
    def facts(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def typed(db):
    """Call a command with words as typed; a refusal is an answer too."""

    def call(name: str, *words: object) -> Answered:
        out, err, status = io.StringIO(), io.StringIO(), 0
        try:
            call_command(name, *map(str, words), stdout=out, stderr=err)
        except CommandError as exc:
            status, _ = exc.returncode, err.write(str(exc))
        return Answered(out.getvalue(), err.getvalue(), status)

    return call


@pytest.fixture
def theirs(db):
    """Somebody else's locks."""
    made = open_locks(owner="worker-7@there")
    yield made
    made.close()


@pytest.fixture
def name():
    """A name that no other test uses: rows of locks stay. It needs encoding in an address."""
    return f"payment:{uuid7()}/ä b"


@pytest.fixture
def lease(theirs, name):
    """A lock that somebody else holds."""
    return theirs.acquire(name, lease=LEASE)
