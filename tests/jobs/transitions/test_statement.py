"""Under whose name something is counted: nobody waits for somebody else's open transaction."""

import os
import threading
import uuid

import pytest
from django.db.models import Sum

from apps.jobs.models import Tally
from apps.jobs.transitions import connection as connecting
from apps.jobs.transitions.statement import TALLY, on_django, thread_tally
from tests.support.factories import own_connection

COUNT = f"""
WITH counted AS (SELECT 'a.b' AS type, 'q' AS queue, 'completed' AS event, 1.5::float8 AS seconds
  FROM generate_series(1, %(times)s)), {TALLY} SELECT 1"""


def count(execute, tally, *, times=1):
    execute(COUNT, {"tally": tally, "times": times})


def test_a_thread_keeps_its_name():
    assert thread_tally() == thread_tally()


def test_each_thread_has_a_name_of_its_own():
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(thread_tally())) for _ in range(3)]
    for thread in threads:
        thread.start()
        thread.join()

    assert 4 == len({*seen, thread_tally()})


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")   # newer Pythons warn of what is meant here
def test_a_forked_child_has_a_name_of_its_own():
    mine = thread_tally()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(thread_tally()).encode())
        os._exit(0)
    os.close(writing)
    said = uuid.UUID(os.read(reading, 100).decode())
    os.close(reading)
    os.waitpid(child, 0)

    assert mine != said


@pytest.mark.django_db
def test_counts_of_one_name_in_one_minute_add_up():
    name = uuid.uuid4()
    for times in (2, 3):
        count(on_django(), name, times=times)

    found = Tally.objects.filter(worker_id=name).aggregate(Sum("count"), Sum("seconds"))
    assert {"count__sum": 5, "seconds__sum": 7.5} == found   # two rows when a minute begins between them


@pytest.mark.django_db(transaction=True)
def test_two_names_do_not_wait_for_each_other_and_one_name_would():
    name = uuid.uuid4()
    with own_connection() as first, own_connection() as second:
        second.execute("SET lock_timeout = 50")
        with first.transaction():
            count(first.execute, name)
            count(second.execute, uuid.uuid4())
            with pytest.raises(Exception, match="lock timeout"):
                count(second.execute, name)

    assert 2 == Tally.objects.count()


@pytest.mark.django_db
@pytest.mark.parametrize(("wanted", "expected"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply"), ("on", "on")])
def test_a_claim_is_on_the_disk_before_it_is_answered_also_where_the_database_would_not_wait(wanted, expected):
    """After a crash, or on a standby, the sequence of the fences would begin anew before what was given out."""
    with connecting.connect("claims", planner=f"-c synchronous_commit={wanted}") as opened:
        assert (expected,) == opened.execute("SHOW synchronous_commit").fetchone()
