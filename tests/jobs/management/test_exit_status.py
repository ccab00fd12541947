"""What a shell sees: real processes, because the status is theirs."""

import subprocess
import sys

import pytest
from django.conf import settings

from core.devserver import addresses
from core.devserver.addresses import Addresses
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


AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize("words", [
    ("jobs_list",), ("jobs_discard", "--dry-run", str(uuid7())), ("tokens_list",), ("showmigrations",),
], ids=lambda words: words[0])
def test_a_database_that_is_away_is_one_line_with_the_fix(words):
    said = run(*words, DATABASE_URL=AWAY)

    assert (1, 1) == (said.returncode, said.stderr.strip().count("\n") + 1)
    assert said.stderr.startswith("Refused: the database does not answer: check DATABASE_URL (connection failed")


def test_where_make_up_runs_the_database_it_is_asked_for(tmp_path):
    addresses.write(tmp_path, Addresses(database_url=AWAY, broker_url="", cache_url=""))
    local = {"DJANGO_SETTINGS_MODULE": "config.settings.local", "DATABASE_URL": ""}

    stopped = run("jobs_list", **local, DATA_DIR=str(tmp_path))
    never_started = run("jobs_list", **local, DATA_DIR=str(tmp_path / "empty"))

    assert stopped.stderr.startswith("Refused: the database does not answer: is `make up` running? (connection failed")
    assert "Refused: there is no address of a database: run `make up`, or set DATABASE_URL\n" == never_started.stderr
