"""Everything at once, in any order: what must be true stays true. And these tests would notice if it did not."""

import os
from contextlib import ExitStack

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from apps.jobs.transitions import heads, rescue, settle
from tests.jobs.machine import Fleet
from tests.support.factories import own_connection

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("connections")]

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "0"))   # more of them, and other ones each time
PLAIN = settings(
    max_examples=EXAMPLES or 40, stateful_step_count=40, derandomize=not EXAMPLES, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
)
TEETH = settings(PLAIN, max_examples=500, phases=[Phase.generate], derandomize=True)


@pytest.fixture
def connections(monkeypatch):
    """One for who edits rows, one for the dispatcher, one for a person, and three for workers."""
    with ExitStack() as stack:
        opened = [stack.enter_context(own_connection(f"stateful-{number}")) for number in range(6)]
        monkeypatch.setattr(Fleet, "connections", opened, raising=False)
        yield


def broken(message):
    """Run the fleet until it finds that something is wrong, and check that it is what we broke."""
    with pytest.raises(AssertionError, match=message):
        run_state_machine_as_test(Fleet, settings=TEETH)


def without(monkeypatch, module, name, condition):
    text = getattr(module, name)
    assert condition in text
    monkeypatch.setattr(module, name, text.replace(condition, ""))


def test_whatever_happens_in_whatever_order_no_attempt_harms_another():
    run_state_machine_as_test(Fleet, settings=PLAIN)


def test_without_the_fence_of_settle_the_fleet_finds_harm(monkeypatch):
    without(monkeypatch, settle, "_SETTLE", "j.fence = v.fence AND ")

    broken("refused or repeated settle has changed a row|held under|runs under")


def test_without_the_fence_of_a_handlers_transaction_the_fleet_finds_harm(monkeypatch):
    without(monkeypatch, settle, "_LOCK", "AND fence = %(fence)s")
    without(monkeypatch, settle, "_COMPLETE", "AND fence = %(fence)s")

    broken("was told otherwise")


def test_with_a_cache_of_fences_the_fleet_finds_that_they_do_not_grow():
    with connection.cursor() as cursor:
        cursor.execute("ALTER SEQUENCE job_fence CACHE 100")
        try:
            broken(r"fence \d+ came after \d+")
        finally:
            cursor.execute("ALTER SEQUENCE job_fence CACHE 1")


def test_without_a_look_at_the_workers_lease_the_fleet_finds_that_a_rescue_robs(monkeypatch):
    alive = "AND NOT EXISTS (SELECT FROM job_worker w WHERE w.id = holder.worker_id AND w.ended_at IS NULL)"
    without(monkeypatch, rescue, "_RESCUE", alive)

    broken("taken from a worker that lives")


def test_without_a_look_for_the_head_the_fleet_finds_two(monkeypatch):
    look = "WHERE NOT EXISTS (\n    SELECT FROM job h WHERE h.lock_key = keys.key AND NOT h.behind AND h.finished_at IS NULL"
    for name, more in (("_PASS_ON", ""), ("_SWEEP", " AND h.id NOT IN (SELECT id FROM stalled)")):
        without(monkeypatch, heads, name, f"{look}{more} OFFSET 0)")

    broken("two jobs have the place of one key")
