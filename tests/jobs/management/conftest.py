"""Commands as they are typed: in this process, with what they say and the status that they would exit with."""

import io
import json
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
