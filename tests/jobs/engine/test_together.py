"""Several short jobs in one hand-over: it saves work, and no job can tell it from a hand-over of its own."""

import re
import socket
from contextlib import contextmanager

import pytest
import requests
from django.db import connection

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from config.celery import app
from tests.jobs.engine.conftest import ended, known
from tests.jobs.engine.test_endings import history, tally
from tests.support import effects, factories
from tests.support.waiting import until
from tests.support.workers import fleet

LESSONS = 100            # short jobs that teach a worker that the type is short
FEW_HAND_OVERS = 3
FEW_COMMITS = 8          # more settle thirty jobs as each ends, and fewer as its hand-over does
ROUNDS = 8               # of what depends on how quick the machine is just now
OTHERS_SECONDS = 15.0    # the stated bound for the siblings of a slow job is 1 s
POOLS = ["prefork", "threads"]


@pytest.fixture(scope="module")
def one_slot(django_db_setup, django_db_blocker):
    """Workers of one slot, by pool, each started when the first test asks for it."""
    with fleet() as made, django_db_blocker.unblock():
        started = {}

        def worker(pool):
            if pool not in started:
                started[pool] = made.start(pool=pool, slots=1, JOBS_METRICS_PORT=str(_free_port()))
            return started[pool]

        yield worker


@pytest.fixture(params=POOLS)
def lane(request, db, one_slot):
    """A worker of one slot that has learnt that the scripted type is short."""
    return taught(one_slot(request.param))


@pytest.fixture
def prefork_lane(db, one_slot):
    return taught(one_slot("prefork"))


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def taught(worker, type_name="scripted.run"):
    known(worker.queue)
    ended(*jobs.enqueue_many(type_name, [{}] * LESSONS, queue=worker.queue))
    Job.objects.all().delete()
    return worker


@contextmanager
def gathered(worker):
    """Let nothing begin before all is enqueued."""
    jobs.pause(worker.queue)
    yield
    jobs.resume(worker.queue)


def counts(worker):
    """Return how many hand-overs there were, and of how many jobs."""
    text = requests.get(f"http://127.0.0.1:{worker.row()['metrics_port']}/metrics", timeout=10).text
    return [
        int(float(re.search(rf"^latchwork_worker_{name}_total (\S+)$", text, re.MULTILINE)[1]))
        for name in ("hand_overs", "handed_over")
    ]


def growth(worker, before):
    return [now - then for now, then in zip(counts(worker), before, strict=True)]


def untouched(rows):
    """Return those that did not complete at their first attempt without a charge."""
    return [
        row for row in rows if (Status.COMPLETED, 1, 0, 0) != (row.status, row.attempt, row.failures, row.rescues)
    ]


def test_many_short_jobs_travel_together_and_each_is_its_own(lane, enqueue):
    before, counted = counts(lane), tally()
    with gathered(lane):
        sent = [enqueue(lane, value=number) for number in range(30)]
    rows = ended(*sent)
    hand_overs, handed = growth(lane, before)

    assert [] == untouched(rows)
    assert list(range(30)) == [row.result for row in rows]
    assert 30 == len({row.fence for row in rows})
    assert [["completed"]] * 30 == [history(job_id) for job_id in sent]
    assert counted["completed"] + 30 == tally()["completed"]
    assert handed >= 30
    assert hand_overs <= 10
    for row in rows:
        (said,) = until(lambda row=row: lane.events("job.settled", job_id=str(row.id)), timeout=30)
        assert (row.fence, 1, "completed") == (said["fence"], said["attempt"], said["outcome"])


def test_a_type_that_wants_it_so_travels_alone(lane, enqueue):
    taught(lane, "scripted.alone")
    before = counts(lane)
    with gathered(lane):
        sent = [enqueue(lane, value=number, type_name="scripted.alone") for number in range(20)]
    rows = ended(*sent)

    assert [] == untouched(rows)
    assert [20, 20] == growth(lane, before)


def test_events_tell_of_each_job(workers, enqueue):
    worker = taught(workers.start(slots=1, options=["-E"]))
    seen = []
    kinds = ("task-received", "task-started", "task-succeeded", "task-failed")
    with app.connection_for_read() as broker:
        receiver = app.events.Receiver(
            broker, handlers=dict.fromkeys(kinds, lambda event: seen.append((event["type"], event["uuid"]))),
        )
        turns = receiver.itercapture(limit=None, timeout=30, wakeup=False)
        next(turns)   # it listens
        with gathered(worker):
            good = [enqueue(worker) for _ in range(9)]
            bad = enqueue(worker, "discard")
        expected = {
            *((kind, str(job_id)) for job_id in (*good, bad) for kind in ("task-received", "task-started")),
            *(("task-succeeded", str(job_id)) for job_id in good), ("task-failed", str(bad)),
        }
        for _ in turns:
            if expected <= set(seen):
                break
        turns.close()
    ours = [each for each in seen if each[1] in {str(job_id) for job_id in (*good, bad)}]

    assert expected == set(ours)
    assert len(ours) == len(set(ours))


def in_good_rounds(worker, send, *, is_good):
    """Send until it went as said, of (hand-overs, jobs handed over); return what was sent last, its rows and both numbers."""
    for _ in range(ROUNDS):   # on a loaded machine short jobs are measured long, and then each travels alone
        before = counts(worker)
        with gathered(worker):
            sent = send()
        rows = ended(*sent)
        hand_overs, handed = growth(worker, before)
        if is_good(hand_overs, handed):
            break
        taught(worker)
    return sent, rows, hand_overs, handed


def settles(worker, enqueue):
    """Return how many commits settled the jobs of a few hand-overs that last longer than was thought."""
    sent, rows, hand_overs, _ = in_good_rounds(
        worker, lambda: [enqueue(worker, seconds=0.01) for _ in range(30)],
        is_good=lambda hand_overs, _: hand_overs <= FEW_HAND_OVERS,
    )

    assert [] == untouched(rows)
    assert hand_overs <= FEW_HAND_OVERS
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM job WHERE id = ANY(%s)", [sent])
        return cursor.fetchone()[0]


def test_each_job_is_settled_soon_after_its_end_and_not_with_its_siblings(lane, enqueue):
    assert settles(lane, enqueue) >= FEW_COMMITS


def test_without_that_all_would_run_twice_whose_worker_dies(workers, enqueue):
    deaf = taught(workers.start(
        slots=1, JOB_MODULES="tests.support.scripted,tests.support.deaf", JOBS_METRICS_PORT=str(_free_port()),
    ))

    assert settles(deaf, enqueue) < FEW_COMMITS


def test_a_job_whose_process_dies_is_charged_and_no_other(prefork_lane, enqueue):
    with gathered(prefork_lane):
        early = [enqueue(prefork_lane, "effect") for _ in range(5)]
        fatal = enqueue(prefork_lane, "die", value="then", until_attempt=1)
        late = [enqueue(prefork_lane, "effect") for _ in range(5)]
    row, *others = ended(fatal, *early, *late)

    assert (Status.COMPLETED, 2, 1, 0) == (row.status, row.attempt, row.rescues, row.failures)
    assert ["worker_lost", "completed"] == history(fatal)
    assert [] == untouched(others)
    assert [1] * 10 == [len(effects.of(each.id)) for each in others]


def test_a_slow_job_does_not_hold_its_siblings(workers, enqueue, desk, lane):
    workers.start(slots=1, queues=[lane.queue])
    with gathered(lane):
        slow = enqueue(lane, "wait", desk=desk)
        others = [enqueue(lane) for _ in range(10)]
    rows = ended(*others, timeout=OTHERS_SECONDS)
    status = factories.row(slow).status
    desk.go()
    rows += ended(slow)

    assert Status.RUNNING == status
    assert [] == untouched(rows)


def test_a_hand_over_of_jobs_that_became_slower_is_cut(lane, enqueue):
    sent, rows, hand_overs, handed = in_good_rounds(
        lane, lambda: [enqueue(lane, "effect", seconds=0.2) for _ in range(12)], is_good=lambda _, handed: handed > 12,
    )

    assert [] == untouched(rows)
    assert [1] * 12 == [len(effects.of(job_id)) for job_id in sent]
    assert handed > 12       # some were handed over twice
    assert hand_overs > 1


def test_a_cancelled_job_that_is_not_begun_never_is_and_its_siblings_are(lane, enqueue, desk, tmp_path):
    notes = type(desk)(tmp_path / "notes")
    notes.folder.mkdir()
    with gathered(lane):
        first = enqueue(lane, "wait", desk=desk)
        sent = [enqueue(lane, desk=notes) for _ in range(5)]
    until(lambda: desk.began(first), timeout=30)
    jobs.cancel(sent[2])
    ended(sent[2])
    desk.go()
    rows = ended(first, *sent)

    assert Status.CANCELLED == rows.pop(3).status
    assert 0 == notes.began(sent[2])
    assert [] == untouched(rows)


@pytest.mark.parametrize("do", ["wait_checking", "wait"])
def test_a_cancelled_job_that_runs_takes_no_sibling_with_it(lane, enqueue, desk, do):
    if do == "wait" and "threads" in lane.command:
        pytest.skip("a thread cannot be ended")
    with gathered(lane):
        early = [enqueue(lane, "effect") for _ in range(4)]
        running = enqueue(lane, do, desk=desk)
        late = [enqueue(lane, "effect") for _ in range(4)]
    until(lambda: desk.began(running), timeout=30)
    jobs.cancel(running)
    row, *others = ended(running, *early, *late)

    assert (Status.CANCELLED, ["cancelled"], 0, 0) == (row.status, history(running), row.failures, row.rescues)
    assert [] == untouched(others)
    assert [1] * 8 == [len(effects.of(each.id)) for each in others]


@pytest.mark.parametrize("do", ["give_nul", "give_surrogate", "give_set", "give_huge", "raise_nul", "celery", "unpicklable"])
def test_what_cannot_be_stored_of_one_is_its_own_affair(lane, enqueue, do):
    with gathered(lane):
        early = [enqueue(lane) for _ in range(4)]
        poison = enqueue(lane, do, value="Ignore", type_name="scripted.run", max_attempts=1)
        late = [enqueue(lane) for _ in range(4)]
    row, *others = ended(poison, *early, *late)

    assert (Status.DEAD_LETTER, 1, 0) == (row.status, row.failures, row.rescues)
    assert [] == untouched(others)


def test_an_error_is_the_jobs_own_and_its_traceback_names_it(lane, enqueue):
    with gathered(lane):
        early = [enqueue(lane) for _ in range(4)]
        bad = enqueue(lane, "raise", value="no such account", max_attempts=1)
        late = [enqueue(lane) for _ in range(4)]
    row, *others = ended(bad, *early, *late)
    (said,) = until(lambda: lane.events("job.raised", job_id=str(bad)), timeout=30)

    assert ("ValueError", "no such account") == (row.error["class"], row.error["message"])
    assert "no such account" in str(said["exception"])
    assert [] == untouched(others)


def test_results_that_do_not_fit_together_all_arrive(lane, enqueue):
    with gathered(lane):
        sent = [enqueue(lane, value=str(number) * 200_000) for number in range(8)]
    rows = ended(*sent)

    assert [] == untouched(rows)
    assert [str(number) * 200_000 for number in range(8)] == [row.result for row in rows]
