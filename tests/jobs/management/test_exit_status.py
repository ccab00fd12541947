"""What a shell sees: real processes, because the status is theirs."""

import subprocess
import sys

import pytest
from django.conf import settings

from core.ids import uuid7
from tests.support.environment import environment

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(settings.ROOT / "manage.py"), *words]
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, timeout=60, check=False)


def test_done_is_0_refused_1_and_not_understood_2_without_a_traceback():
    unknown = uuid7()

    done, refused = run("jobs_list", "--json"), run("jobs_show", str(unknown))
    misspelt, mistyped = run("jobs_enqueue", "no.such", "{}"), run("jobs_list", "--limit=many")

    assert (0, "[]\n") == (done.returncode, done.stdout)
    assert (1, f"Refused: there is no job {unknown}\n") == (refused.returncode, refused.stderr)
    assert (2, 1) == (misspelt.returncode, misspelt.stderr.count("\n"))
    assert misspelt.stderr.startswith("NotUnderstood: /type: 'no.such' is not a job type; known are ")
    assert 2 == mistyped.returncode
    assert "Traceback" not in mistyped.stderr


def test_a_database_that_is_away_is_one_line():
    said = run("jobs_list", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    assert (1, 1) == (said.returncode, said.stderr.strip().count("\n") + 1)
    assert said.stderr.startswith("Refused: the database refused: ")
