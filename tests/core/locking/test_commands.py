"""locks_list, locks_show, locks_release, locks_floor, locks_schema and locks_doctor, as they are typed."""

import json
import re
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.core.management import load_command_class

from core.locking import looking, releasing, shared, watching
from tests.locks import databases
from tests.support.caller import Caller
from tests.support.environment import environment

COMMANDS = (
    "locks_bench", "locks_doctor", "locks_floor", "locks_list", "locks_release", "locks_schema", "locks_show", "locks_watch",
)
CHANGING = ("locks_floor", "locks_release", "locks_schema")
AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there
PASSING = {"age_seconds", "free_in_seconds"}


def lasting(facts):
    return {
        key: datetime.fromisoformat(value) if key == "since" and value else value
        for key, value in facts.items() if key not in PASSING
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_answers_in_json(command):
    help_text = load_command_class("core", command).create_parser("manage.py", command).format_help()

    assert "--json" in help_text
    assert "Exit status" in help_text


@pytest.mark.parametrize("command", CHANGING)
def test_every_command_that_changes_something_has_a_dry_run(command):
    assert "--dry-run" in load_command_class("core", command).create_parser("manage.py", command).format_help()


def test_what_a_script_learns_from_a_command_it_learns_from_the_api(typed, lease, name):
    viewer = Caller.of("viewer")
    listed = viewer.get(f"/api/v1/locks?prefix={quote(name)}").json()["items"]
    shown = viewer.get(f"/api/v1/locks/{quote(name, safe='')}").json()

    assert [lasting(item) for item in listed] == [lasting(item) for item in typed("locks_list", "--prefix", name, "--json").facts]
    assert lasting(shown) == lasting(typed("locks_show", name, "--json").facts)


def test_a_list_says_who_has_what(typed, lease, name):
    said = typed("locks_list", "--prefix", name, "--held")
    none = typed("locks_list", "--prefix", name, "--free")

    assert re.search(rf"^{re.escape(name)} +held +{lease.token} +worker-7@there ", said.out, re.MULTILINE)
    assert "no locks\n" == none.out


def test_a_release_names_what_it_released_and_its_history_is_shown(typed, lease, name):
    said = typed("locks_release", name, "--reason=its machine is gone")
    shown = typed("locks_show", name)

    assert (0, f"released {name} with token {lease.token}, which worker-7@there had; its token is {lease.token + 1} now\n") == (
        said.status, said.out,
    )
    assert re.search(r"force\.freed .*terminal:\w+.*its machine is gone", shown.out)


def test_a_dry_run_releases_nothing(typed, lease, name):
    said = typed("locks_release", name, "--reason=x", "--dry-run")

    lease.renew()
    assert f"would release {name} with token {lease.token}, which worker-7@there has\n" == said.out


def test_a_grant_that_is_over_is_refused_and_the_present_one_stays(typed, lease, name, theirs):
    lease.release()
    following = theirs.acquire(name)

    refused = typed("locks_release", name, "--reason=x", f"--token={lease.token}")
    unknown = typed("locks_release", f"{name}-other", "--reason=x")

    following.renew()
    assert (1, 1) == (refused.status, unknown.status)
    assert "is over already" in refused.err


@pytest.mark.parametrize("words", [[], ["--reason= "]])
def test_a_release_needs_a_reason(typed, lease, name, words):
    said = typed("locks_release", name, *words)

    lease.renew()
    assert 0 != said.status
    assert "--reason" in said.err


def test_the_floor_is_shown_and_raised_for_a_reason(typed):
    before = releasing.floor()

    assert f"{before}\n" == typed("locks_floor").out
    assert 2 == typed("locks_floor", "--raise").status
    planned = typed("locks_floor", "--raise", before + 7, "--reason=restored", "--dry-run", "--json").facts
    assert (before, before + 7, before) == (planned["before"], planned["floor"], releasing.floor())
    assert f"raised the floor from {before} to {before + 7}\n" == typed("locks_floor", "--raise", before + 7, "--reason=restored").out
    assert before + 7 == releasing.floor()


def test_without_a_number_the_floor_rises_above_all_tokens_until_now(typed, lease):
    typed("locks_floor", "--raise", "--reason=moved")

    assert releasing.floor() > lease.token


def test_a_store_that_is_away_is_one_line(typed, settings):
    settings.LOCKS_URL = AWAY

    said = typed("locks_list")

    assert (1, "") == (said.status, said.out)
    assert "the store of locks does not answer" in said.err


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("words", [
    ("locks_list",), ("locks_show", "x"), ("locks_release", "x", "--token=1", "--reason=r"), ("locks_floor",),
], ids=lambda words: words[0])
def test_a_cluster_that_is_away_is_one_line_in_a_shell(words):
    """In a process of its own, with the log of real ones: the driver has much to say about it."""
    said = subprocess.run(
        [sys.executable, str(settings.ROOT / "manage.py"), *words], env=environment(LOCKS_URL="cassandra://127.0.0.1:1/locks"),
        capture_output=True, text=True, timeout=60, check=False,
    )

    assert (1, "", 1) == (said.returncode, said.stdout, said.stderr.count("\n"))
    assert said.stderr.startswith("Refused: the store of locks does not answer")


def test_the_tables_are_made_again_without_harm(typed, lease):
    assert (0, "the tables of the locks are there\n") == ((said := typed("locks_schema")).status, said.out)

    lease.renew()


def test_what_would_be_run_on_a_cluster_is_shown(typed, settings):
    settings.LOCKS_URL = "cassandra://db1,db2/latchwork_locks"

    said = typed("locks_schema", "--dry-run", "--replicas", "east=3,west=2")

    assert "CREATE KEYSPACE IF NOT EXISTS latchwork_locks" in said.out
    assert "'east': 3, 'west': 2" in said.out
    assert 0 != typed("locks_schema", "--dry-run", "--replicas", "east").status


def test_the_doctor_says_how_long_a_lock_takes_and_what_is_risky(typed):
    said = typed("locks_doctor", "--json")

    assert (0, "postgresql", True) == (said.status, said.facts["store"], said.facts["usable"])
    assert any("a lock is acquired in" in fact for fact in said.facts["facts"])
    assert ["risk", "risk"] == [each["weight"] for each in said.facts["findings"]]   # the tests' server never syncs


def test_the_doctor_finds_a_store_that_is_away_and_one_that_is_none(typed, settings):
    settings.LOCKS_URL = AWAY
    away = typed("locks_doctor", "--json")
    settings.LOCKS_URL = "memory://"
    memory = typed("locks_doctor")

    assert (1, False) == (away.status, json.loads(away.out)["usable"])
    assert 1 == memory.status
    assert "of one process alone" in memory.out


def test_what_happens_is_seen_as_it_happens(typed, theirs, name):
    def happen():
        lease = theirs.acquire(name)
        seen.wait(20)
        lease.release()

    seen = threading.Event()
    looks = iter(range(1000))
    changes = watching.watch(
        lambda: looking.everything(prefix=name) if next(looks) else [], every=timedelta(milliseconds=10), until=None,
    )
    thread = threading.Thread(target=happen)
    thread.start()
    first = next(changes)
    seen.set()
    second = next(changes)
    thread.join()

    assert [("held", name, "worker-7@there"), ("freed", name, None)] == [(each.what, each.name, each.holder) for each in (first, second)]
    assert first.token == second.token


def test_a_watch_ends_by_itself_and_says_what_it_saw(typed, lease, name):
    said = typed("locks_watch", "--prefix", name, "--every=10ms", "--for=100ms")

    assert (0, "") == (said.status, said.out)   # nothing changed


def test_a_bench_measures_and_leaves_nothing_behind(typed):
    figures = typed("locks_bench", "--for=200ms", "--threads=2", "--names=4", "--json").facts

    assert 0 == figures["failed"]
    assert figures["pairs"] > 0
    assert 0 < figures["acquire_p50_ms"] <= figures["acquire_p99_ms"]
    assert [] == looking.everything(prefix="bench:")


def test_the_doctor_misses_tables_and_the_schema_command_makes_them(typed, settings):
    with databases.fresh() as url:
        settings.LOCKS_URL = url
        with psycopg.connect(url) as connection:
            connection.execute("DROP SCHEMA locks CASCADE")
        without = typed("locks_doctor")
        planned, still = typed("locks_schema", "--dry-run"), typed("locks_doctor")
        made, then = typed("locks_schema"), typed("locks_doctor")
        shared.close()   # else the database cannot be removed in peace

    assert (1, 1) == (without.status, still.status)
    assert "there are no tables of locks" in without.out
    assert "locks_schema" in without.out
    assert "CREATE TABLE IF NOT EXISTS locks.lock" in planned.out
    assert (0, 0) == (made.status, then.status)


def test_locks_of_another_database_are_its_own(typed, settings, lease, name):
    with databases.fresh() as url:
        settings.LOCKS_URL = url
        said = typed("locks_show", name)
        shared.close()

    assert (1, True) == (said.status, f"there is no lock {name!r}" in said.err)
