"""Each way in which a handler can end, in both pools: status, outcome, error, history, budgets and roll-ups."""

import pytest
from django.db import connection

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from tests.jobs.engine.conftest import ended, in_status
from tests.support import effects, factories
from tests.support.waiting import until

ONCE = "scripted.once"


def history(job_id):
    """Return the outcomes of a job's attempts, oldest first."""
    return [each.outcome for each in selectors.attempts(job_id)]


def tally():
    """Return how often what was counted, of all types."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT event, sum(count)::int FROM job_tally GROUP BY event")
        return dict(cursor.fetchall())


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text with ä and 🙂", ["a", {"b": None}], {"sum": 42}])
def test_a_value_completes_the_job(worker, enqueue, value):
    (row,) = ended(enqueue(worker, value=value))

    assert (Status.COMPLETED, value, None, 1, 0) == (row.status, row.result, row.error, row.attempt, row.failures)
    assert ["completed"] == history(row.id)
    assert {"completed": 1} == tally()


def test_the_context_knows_its_attempt(worker, enqueue):
    (row,) = ended(enqueue(worker, "facts"))

    facts = row.result
    assert (str(row.id), "scripted.run", 1, row.fence) == (facts["id"], facts["type"], facts["attempt"], facts["fence"])
    assert f"{row.id}:charge" == facts["step_key"]
    assert 0 < facts["seconds_left"] <= row.timeout_seconds


def test_an_exception_is_tried_again_by_the_policy_until_the_attempts_are_used_up(worker, enqueue):
    (row,) = ended(enqueue(worker, "raise", value="boom", max_attempts=2))

    assert (Status.DEAD_LETTER, 2, 2, 0) == (row.status, row.attempt, row.failures, row.rescues)
    assert ("ValueError", "boom") == (row.error["class"], row.error["message"])
    assert "scripted.py" in row.error["traceback"]
    assert ["failed", "failed"] == history(row.id)
    assert {"failed": 1, "dead_letter": 1} == tally()


def test_an_error_is_logged_once_with_its_traceback(worker, enqueue):
    bad = enqueue(worker, "raise", value="boom of its own", max_attempts=1)
    ended(bad)
    after = enqueue(worker)
    ended(after)   # whatever is said of the one before is said by then

    said = until(lambda: [line for line in worker.lines() if "boom of its own" in line], timeout=30)
    assert [1] == [line.count("Traceback (most recent call last)") for line in said], said
    assert str(bad) in said[0]


def test_an_attempt_after_a_failure_can_complete(worker, enqueue):
    (row,) = ended(enqueue(worker, "raise", value="boom", until_attempt=1))

    assert (Status.COMPLETED, "boom", None, 1) == (row.status, row.result, row.error, row.failures)
    assert ["failed", "completed"] == history(row.id)


def test_a_policy_without_retry_makes_the_first_failure_the_last(worker, enqueue):
    (row,) = ended(enqueue(worker, "raise", value="boom", type_name=ONCE))

    assert (Status.DEAD_LETTER, 1) == (row.status, row.attempt)


def test_retry_is_another_attempt_after_its_time_and_counts(worker, enqueue):
    (row,) = ended(enqueue(worker, "retry", seconds=0.2, until_attempt=1, type_name=ONCE))

    first, second = selectors.attempts(row.id)
    assert (Status.COMPLETED, 1) == (row.status, row.failures)
    assert ("failed", "Retry", "not yet") == (first.outcome, first.error["class"], first.error["message"])
    assert (second.started_at - first.finished_at).total_seconds() >= 0.2


def test_retry_without_a_time_asks_the_policy(worker, enqueue):
    (row,) = ended(enqueue(worker, "retry_by_policy", type_name=ONCE))

    assert (Status.DEAD_LETTER, ["failed"]) == (row.status, history(row.id))


@pytest.mark.parametrize("do", ["snooze", "snooze_until"])
def test_a_snooze_costs_nothing(worker, enqueue, do):
    (row,) = ended(enqueue(worker, do, seconds=0.2, until_attempt=1, max_attempts=1))

    assert (Status.COMPLETED, 2, 0, 0) == (row.status, row.attempt, row.failures, row.rescues)
    assert ["snoozed", "completed"] == history(row.id)


def test_a_handler_can_cancel_its_job(worker, enqueue):
    (row,) = ended(enqueue(worker, "cancel"))

    assert (Status.CANCELLED, "pointless by now") == (row.status, row.error["message"])
    assert ["cancelled"] == history(row.id)


def test_discard_is_a_dead_letter_at_once(worker, enqueue):
    (row,) = ended(enqueue(worker, "discard"))

    assert (Status.DEAD_LETTER, 1, "nobody can do this") == (row.status, row.attempt, row.error["message"])
    assert ["discarded"] == history(row.id)


@pytest.mark.parametrize(("do", "reason"), [
    ("give_nul", "NUL"), ("give_nul_in_name", "NUL"), ("give_surrogate", "surrogate"), ("give_huge", "at most 262144"),
    ("give_set", "not JSON"), ("give_nan", "not JSON"),
])
def test_a_result_that_cannot_be_stored_fails_its_job_alone_and_for_good(worker, enqueue, do, reason):
    bad = enqueue(worker, do)
    neighbours = [enqueue(worker, value=number) for number in range(20)]
    row, *others = ended(bad, *neighbours)

    assert (Status.DEAD_LETTER, 1) == (row.status, row.attempt)
    assert "apps.jobs.errors.UnstorableResult" == row.error["class"]
    assert reason in row.error["message"]
    assert [(Status.COMPLETED, 1, number) for number in range(20)] == [(each.status, each.attempt, each.result) for each in others]


def test_text_that_only_looks_like_a_nul_is_stored(worker, enqueue):
    (row,) = ended(enqueue(worker, "give_backslash"))

    assert (Status.COMPLETED, r"the text \u0000 is no NUL") == (row.status, row.result)


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_a_deeply_nested_result_ends_its_job_alone(worker, enqueue, depth):
    bad, good = enqueue(worker, "give_deep", value=depth, type_name=ONCE), enqueue(worker)
    row, other = ended(bad, good)

    assert 1 == row.attempt
    assert row.status in {Status.COMPLETED, Status.DEAD_LETTER}
    assert (Status.COMPLETED, 1) == (other.status, other.attempt)


@pytest.mark.parametrize(("do", "message"), [("raise_nul", "a\N{REPLACEMENT CHARACTER}b"), ("raise_surrogate", "half ? of a pair")])
def test_an_error_text_that_cannot_be_stored_is_cleaned_and_ends_its_job_alone(worker, enqueue, do, message):
    bad, good = enqueue(worker, do, type_name=ONCE), enqueue(worker)
    row, other = ended(bad, good)

    assert (Status.DEAD_LETTER, "ValueError", message) == (row.status, row.error["class"], row.error["message"])
    assert (Status.COMPLETED, 1) == (other.status, other.attempt)


def test_a_long_error_is_cut(worker, enqueue):
    (row,) = ended(enqueue(worker, "raise_long", type_name=ONCE))

    assert 4 * 1024 == len(row.error["message"])
    assert len(row.error["traceback"]) <= 16 * 1024


@pytest.mark.parametrize(("do", "name"), [
    ("out_of_memory", "MemoryError"), ("recurse", "RecursionError"), ("unpicklable", "tests.support.scripted.Unpicklable"),
    ("unspeakable", "tests.support.scripted.Unspeakable"), ("interrupt", "KeyboardInterrupt"),
])
def test_any_exception_is_a_failed_attempt_of_its_job_alone(worker, enqueue, do, name):
    serving = worker.id()
    bad, good = enqueue(worker, do, type_name=ONCE), enqueue(worker)
    row, other = ended(bad, good)

    assert (Status.DEAD_LETTER, name, ["failed"]) == (row.status, row.error["class"], history(row.id))
    assert (Status.COMPLETED, 1) == (other.status, other.attempt)
    assert (None, serving) == (worker.poll(), worker.id())


@pytest.mark.parametrize("code", [0, 3, "text"])
def test_sys_exit_in_a_handler_is_a_failed_attempt(worker, enqueue, code):
    (row,) = ended(enqueue(worker, "exit", value=code, type_name=ONCE))

    assert (Status.DEAD_LETTER, ["failed"]) == (row.status, history(row.id))
    assert f"sys.exit({code!r})" in row.error["message"]


@pytest.mark.parametrize("name", ["Ignore", "Reject", "Retry"])
def test_what_celery_gives_a_meaning_is_any_exception_here(worker, enqueue, name):
    (row,) = ended(enqueue(worker, "celery", value=name, type_name=ONCE))

    assert (Status.DEAD_LETTER, f"celery.exceptions.{name}") == (row.status, row.error["class"])


def test_a_payload_that_the_model_of_today_refuses_is_a_dead_letter(worker, enqueue):
    job_id = factories.job(type="scripted.run", queue=worker.queue, payload='{"do": 7}')

    (row,) = ended(job_id)
    assert (Status.DEAD_LETTER, ["discarded"]) == (row.status, history(job_id))
    assert "ValidationError" in row.error["class"]


def test_effect_and_completion_are_one_commit(worker, enqueue):
    (row,) = ended(enqueue(worker, "complete", value={"sent": True}))

    assert (Status.COMPLETED, {"sent": True}, 1) == (row.status, row.result, row.attempt)
    assert [row.fence] == [each.fence for each in effects.of(row.id)]
    assert {"completed": 1} == tally()


def test_what_a_handler_does_after_its_own_completion_changes_nothing(worker, enqueue):
    (row,) = ended(enqueue(worker, "complete_and_raise", value="kept"))

    assert (Status.COMPLETED, "kept", None) == (row.status, row.result, row.error)
    assert 1 == len(effects.of(row.id))


def test_a_handler_may_work_on_after_its_own_completion(worker, enqueue, desk):
    job_id = enqueue(worker, "complete_and_work_on", value="done", desk=desk)
    in_status(job_id, Status.COMPLETED)
    later = enqueue(worker, "give", seconds=2.5)   # while the worker calls its roll at least twice
    ended(later)
    desk.go()

    until(lambda: effects.of(job_id), timeout=30, message="it was ended after its completion")
    assert [] == worker.events("job.lease_lost", job_id=str(job_id))
    assert ["completed"] == history(job_id)
    assert 0 == Job.objects.exclude(rescues=0).count()


def test_a_transaction_that_fails_leaves_neither_effect_nor_completion(worker, enqueue):
    (row,) = ended(enqueue(worker, "raise_in_transaction", type_name=ONCE))

    assert (Status.DEAD_LETTER, "before the commit") == (row.status, row.error["message"])
    assert [] == effects.of(row.id)


def test_progress_is_shown_while_it_runs_and_its_end_is_never_left_out(worker, enqueue, desk):
    job_id = enqueue(worker, "progress", desk=desk)
    until(lambda: factories.row(job_id).progress, timeout=30)
    desk.go()
    (row,) = ended(job_id)

    assert {"done": 1000, "total": 1000, "note": "there"} == row.progress


@pytest.mark.parametrize("do", ["leave_atomic_open", "leave_autocommit_off"])
def test_a_transaction_left_open_holds_up_nobody_and_does_not_poison_the_next_job(worker, enqueue, do):
    slots = 2
    bad = [enqueue(worker, do, value=number) for number in range(2 * slots)]
    first = ended(*bad)
    after = ended(*[enqueue(worker, "query") for _ in range(4 * slots)])

    assert [Status.COMPLETED] * len(bad) == [row.status for row in first]
    assert [] == [each for job_id in bad for each in effects.of(job_id)]
    assert [(Status.COMPLETED, 1, 1)] * len(after) == [(row.status, row.attempt, row.result) for row in after]


def test_a_connection_that_the_handler_broke_does_not_poison_the_next_job(worker, enqueue):
    broken = ended(*[enqueue(worker, "break_connection", type_name=ONCE) for _ in range(4)])
    after = ended(*[enqueue(worker, "query") for _ in range(8)])

    assert [Status.DEAD_LETTER] * 4 == [row.status for row in broken]
    assert [(Status.COMPLETED, 1, 1)] * 8 == [(row.status, row.attempt, row.result) for row in after]


def test_a_handler_may_close_the_standard_output(prefork, enqueue):
    (row,) = ended(enqueue(prefork, "close_stdout", value="done"))
    others = ended(*[enqueue(prefork) for _ in range(6)])

    assert (Status.COMPLETED, 1) == (row.status, row.attempt)
    assert [(Status.COMPLETED, 1)] * 6 == [(each.status, each.attempt) for each in others]


def test_a_job_that_a_handler_enqueues_is_rung_for_and_runs(worker, enqueue):
    (row,) = ended(enqueue(worker, "nest", value=worker.queue, script={"do": "give", "value": "inner"}))

    (inner,) = ended(row.result)
    assert (Status.COMPLETED, "inner") == (inner.status, inner.result)


def test_a_finished_job_that_a_person_retries_runs_again_under_a_greater_fence(worker, enqueue):
    (first,) = ended(enqueue(worker, "raise", value="boom", until_attempt=1, type_name=ONCE))
    jobs.retry(first.id)

    row = in_status(first.id, Status.COMPLETED)
    assert ["failed", "completed"] == history(first.id)
    assert row.fence > first.fence
