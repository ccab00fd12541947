"""Commands as they are typed: in this process, with what they say and the status that they would exit with."""

import io
import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import CommandError, call_command


@dataclass(frozen=True)
class Answered:
    out: str
    err: str
    status: int

    @property
    def facts(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def typed():
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
def worker(live_server):
    """Run whatever is ready until the test ends."""
    from django.db import connection

    from apps.jobs.testing import drain

    stopping = threading.Event()

    def work():
        try:
            while not stopping.wait(0.02):
                drain()
        finally:
            connection.close()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    yield
    stopping.set()
    thread.join()


@pytest.fixture
def stack(live_server, settings, tmp_path):
    """Return the words that name the stack to a command."""
    from core.api import tokens
    from core.api.roles import Role

    settings.OUTGOING_ALLOW_PRIVATE = True
    token_file = tmp_path / "token"
    token_file.write_text(tokens.create(name="stack", role=Role.OPERATOR).token, encoding="utf-8")
    return ["--url", live_server.url, "--token-file", str(token_file)]
