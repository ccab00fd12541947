import threading
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.jobs import registry, testing
from apps.jobs import services as jobs
from apps.jobs.errors import Cancelled, RoleNeeded, UniqueConflict
from apps.jobs.lifecycle import Status
from apps.jobs.models import Bulk, Job
from apps.jobs.selection import Selection
from apps.jobs.services import actions, bulk, many, retention
from apps.jobs.testing.handling import FakeContext
from core import audit
from core.api.roles import Role
from core.audit.models import AuditEntry
from core.ids import uuid7
from tests.support import factories

pytestmark = pytest.mark.django_db
ANN = audit.Actor(key="user:7", name="ann", role="operator", channel="admin")
DEAD = Selection(status=Status.DEAD_LETTER)


def begin(action="retry", selection=DEAD, **options):
    with audit.acting(ANN):
        return bulk.begin(action, selection, **{"reason": "a test", "bulk_id": uuid7(), **options}).id


def dead(count, **changes):
    return [factories.job_in(Status.DEAD_LETTER, **changes) for _ in range(count)]


def attempt(bulk_id, **options):
    return FakeContext(type=bulk.TYPE, id=bulk_id, **options)


def told():
    return [(entry.action, entry.actor_name) for entry in AuditEntry.objects.filter(action__startswith="bulk.").order_by("id")]


def test_all_that_match_are_acted_on_by_a_job_and_no_others(echo):
    wanted, other = dead(5, queue="mail"), dead(1)
    bulk_id = begin(selection=Selection(status=Status.DEAD_LETTER, queue="mail"))

    ran = testing.drain(queues=["default"])

    assert [bulk_id] == [each.id for each in ran]
    assert {"done": 5, "refused": 0, "total": 5, "refusals": []} == ran[0].result
    assert {Status.QUEUED} == {factories.row(each).status for each in wanted}
    assert Status.DEAD_LETTER == factories.row(other[0]).status


def test_its_beginning_and_its_end_are_told_with_who_and_why():
    dead(2)
    begin(reason="the bank is back")
    testing.drain()

    assert [("bulk.begin", "ann"), ("bulk.end", "ann")] == told()
    first, last = AuditEntry.objects.filter(action__startswith="bulk.").order_by("id")
    assert ("retry", "the bank is back", "dead_letter") == (
        first.after["action"], first.after["reason"], first.after["filter"]["status"])
    assert {"done": 2, "refused": 0, "total": 2, "reason": "the bank is back"} == last.after


def test_jobs_that_are_made_after_its_beginning_are_left_alone():
    old = dead(1)[0]
    bulk_id = begin()
    young = dead(1)[0]

    bulk.perform(attempt(bulk_id))

    assert [Status.QUEUED, Status.DEAD_LETTER] == [factories.row(old).status, factories.row(young).status]


def completed_again():
    """Let all that was queued be done, as a quick fleet would between two attempts of the bulk job."""
    Job.objects.filter(status=Status.QUEUED, type=factories.TYPE).update(status=Status.COMPLETED, finished_at=timezone.now())


def crashed_after(batches, bulk_id, *, size):
    """Run an attempt that ends without a word after so many batches."""
    with pytest.raises(Cancelled):
        bulk.perform(attempt(bulk_id, cancel_after=batches), batch=size)


def test_an_attempt_after_a_crash_goes_on_behind_the_last_batch_and_does_nothing_twice(echo):
    ids = [factories.job_in(Status.COMPLETED) for _ in range(7)]
    bulk_id = begin(selection=Selection(type=factories.TYPE))   # what was retried and is done matches again
    crashed_after(2, bulk_id, size=2)
    completed_again()

    done = bulk.perform(attempt(bulk_id), batch=2)

    assert [10] * 7 == [factories.row(each).max_attempts for each in ids]
    assert (7, 0, 7) == (done.done, done.refused, done.total)


def test_without_its_place_it_would_do_things_twice(echo):
    ids = [factories.job_in(Status.COMPLETED) for _ in range(4)]
    bulk_id = begin(selection=Selection(type=factories.TYPE))
    crashed_after(1, bulk_id, size=2)
    completed_again()
    Bulk.objects.update(place_at=None, place_id=None)

    bulk.perform(attempt(bulk_id), batch=2)

    assert [15, 15, 10, 10] == [factories.row(each).max_attempts for each in ids]


def test_a_batch_that_does_not_commit_moves_nothing(monkeypatch):
    ids = dead(3)
    bulk_id = begin()
    act = many.act

    def dies_late(*args, **options):
        act(*args, **options)
        raise SystemExit

    monkeypatch.setattr(many, "act", dies_late)
    with pytest.raises(SystemExit):
        bulk.perform(attempt(bulk_id), batch=2)
    monkeypatch.undo()

    assert {Status.DEAD_LETTER} == {factories.row(each).status for each in ids}
    assert (0, None) == Bulk.objects.values_list("done", "place_id").get()
    assert 3 == bulk.perform(attempt(bulk_id), batch=2).done


def test_it_is_stopped_between_two_batches_says_so_and_goes_on_when_it_is_retried():
    ids = dead(6)
    bulk_id = begin()

    crashed_after(1, bulk_id, size=2)

    assert 2 == Job.objects.filter(id__in=ids, status=Status.QUEUED).count()
    assert [("bulk.begin", "ann"), ("bulk.stop", "ann")] == told()
    assert (6, 6) == (bulk.perform(attempt(bulk_id), batch=2).done, Job.objects.filter(id__in=ids, status=Status.QUEUED).count())


def test_one_that_is_done_does_nothing_when_it_is_retried():
    (job_id,) = dead(1)
    bulk_id = begin()
    bulk.perform(attempt(bulk_id))
    Job.objects.filter(id=job_id).update(status=Status.DEAD_LETTER, finished_at=timezone.now())

    bulk.perform(attempt(bulk_id))

    assert Status.DEAD_LETTER == factories.row(job_id).status


def test_a_job_of_this_type_that_nobody_has_begun_does_nothing():
    (job_id,) = dead(1)
    forged = jobs.enqueue(bulk.TYPE, {
        "action": "discard", "filter": {"status": "dead_letter"}, "by": "boss", "reason": "because",
    })   # fmt: skip

    testing.drain()

    assert Status.DEAD_LETTER == factories.row(forged).status
    assert "was not begun" in factories.row(forged).error["message"]
    assert Status.DEAD_LETTER == factories.row(job_id).status


def test_it_leaves_itself_alone():
    bulk_id = begin("cancel", Selection(queue="default"))
    others = factories.jobs(2)
    Bulk.objects.update(selection=Selection(queue="default").facts())

    done = bulk.perform(attempt(bulk_id))

    assert {Status.CANCELLED} == {factories.row(each).status for each in others}
    assert (2, Status.QUEUED) == (done.done, factories.row(bulk_id).status)


def test_what_is_refused_is_counted_with_its_reasons_and_the_others_are_done():
    first, second = dead(2, unique_key=None)
    Job.objects.filter(id__in=[first, second]).update(unique_key="k")
    waiting = factories.job()

    bulk_id = begin(selection=Selection(queue="default", type=factories.TYPE))
    done = bulk.perform(attempt(bulk_id))

    assert (1, 2) == (done.done, done.refused)
    assert [
        f"job {first} is unfinished and has the unique_key 'k'",
        f"job {waiting} is queued: retry is for completed, cancelled, dead_letter",
    ] == sorted(done.refusals)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_its_handler_holds_is_passed_over_at_once():
    held, free = (factories.job() for _ in range(2))
    bulk_id = begin("cancel", Selection(type=factories.TYPE))
    with factories.own_connection() as handler, handler.transaction():
        handler.execute("SELECT FROM job WHERE id = %s FOR NO KEY UPDATE", [held])
        done = bulk.perform(attempt(bulk_id))

    assert (1, 1) == (done.done, done.refused)
    assert [f"job {held} is being written by its handler or by an edit: try again in a moment"] == done.refusals
    assert [Status.QUEUED, Status.CANCELLED] == [factories.row(held).status, factories.row(free).status]


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_begin_the_same_at_once_one_is_led_to_the_others():
    dead(1)
    ready, begun = threading.Barrier(2), []

    def one():
        try:
            ready.wait(10)
            with audit.acting(ANN):
                begun.append(bulk.begin("retry", DEAD, reason="r", bulk_id=uuid7()))
        finally:
            factories.clean_connection()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [False, True] == sorted(each.created for each in begun)
    assert 1 == len({each.id for each in begun}) == Bulk.objects.count()
    assert 1 == AuditEntry.objects.filter(action="bulk.begin", target=f"job:{begun[0].id}").count()


def test_the_same_request_twice_begins_one_also_when_the_first_is_done():
    dead(1)
    bulk_id = uuid7()
    begin(bulk_id=bulk_id)
    bulk.perform(attempt(bulk_id))
    Job.objects.filter(id=bulk_id).update(status=Status.COMPLETED, finished_at=timezone.now())

    with audit.acting(ANN):
        again = bulk.begin("retry", DEAD, reason="r", bulk_id=bulk_id)

    assert (bulk_id, False) == (again.id, again.created)
    assert 1 == Bulk.objects.count()


@pytest.mark.parametrize(("action", "before", "after"), [
    ("retry", Status.DEAD_LETTER, Status.QUEUED), ("cancel", Status.SCHEDULED, Status.CANCELLED),
    ("run", Status.RETRYING, Status.QUEUED), ("discard", Status.DEAD_LETTER, Status.CANCELLED),
])   # fmt: skip
def test_it_does_what_the_action_on_one_job_does(action, before, after):
    job_id = factories.job_in(before)

    bulk.perform(attempt(begin(action, Selection(status=before))))

    assert after == factories.row(job_id).status


def test_a_running_job_is_asked_to_stop_and_its_reason_is_kept():
    job_id = factories.job_in(Status.RUNNING)
    waiting = factories.job()

    bulk.perform(attempt(begin("cancel", Selection(type=factories.TYPE), reason="sold out")))

    assert factories.row(job_id).cancel_requested_at is not None
    assert "cancel by ann: sold out" == factories.row(waiting).error["message"]


def test_a_dry_run_counts_by_status_and_changes_nothing():
    dead(3)
    factories.job()

    tally = bulk.foresee(Selection(queue="default"))

    assert ({"dead_letter": 3, "queued": 1}, True) == (tally.counts, tally.complete)
    assert 3 == Job.objects.filter(status=Status.DEAD_LETTER).count()


def test_its_progress_is_shown(echo):
    dead(3)
    context = attempt(begin())

    bulk.perform(context, batch=2)

    assert [(2, 3, "2 done, 0 refused"), (3, 3, "3 done, 0 refused")] == [
        (each.done, each.total, each.note) for each in context.reported]


def test_a_job_that_has_the_key_of_an_action_and_is_none_is_not_taken_for_it(echo):
    key = f"{bulk.TYPE}:retry:{DEAD.digest()}"
    squatter = jobs.enqueue(echo.name, unique_key=key)

    with pytest.raises(UniqueConflict) as refused:
        begin()
    assert (squatter, 0) == (refused.value.job_id, Bulk.objects.count())
    actions.cancel(squatter)
    assert begin() == Bulk.objects.get().id


def test_an_action_that_is_none_is_refused():
    with pytest.raises(ValueError, match="known are retry, cancel, run, discard"):
        bulk.begin("explode", DEAD, reason="r", bulk_id=uuid.uuid4())


def test_a_filter_that_reaches_into_the_future_ends_at_the_beginning():
    now = timezone.now()

    assert now == DEAD.before(now).created_before
    assert now == DEAD.before(now + timedelta(days=1)).before(now).created_before


def test_its_row_goes_with_its_job():
    gone, kept = begin(selection=DEAD), begin(selection=Selection(queue="mail"))
    Bulk.objects.update(created_at=timezone.now() - timedelta(days=30))
    Job.objects.filter(id=gone).delete()

    retention.prune(keep=timedelta(days=7))

    assert [kept] == list(Bulk.objects.values_list("id", flat=True))


@pytest.mark.parametrize(("role", "action", "may"), [
    ("operator", "discard", False), ("admin", "discard", True), ("operator", "retry", True), ("viewer", "retry", False),
])   # fmt: skip
def test_a_stopped_action_is_gone_on_with_by_who_may_begin_it(role, action, may):
    dead(2)
    one, of_many = begin(action), begin(action, selection=Selection(status=Status.DEAD_LETTER, queue="mail"))
    for each in (one, of_many):
        actions.cancel(each)

    with audit.acting(replace(ANN, role=role)):
        refused = list(many.act("retry", [of_many], reason="r").refused.values())
        if may:
            actions.retry(one)
        else:
            with pytest.raises(RoleNeeded, match=r"to retry this job of system\.bulk needs the role"):
                actions.retry(one)

    assert ([] if may else [RoleNeeded]) == [type(each) for each in refused]
    assert {Status.QUEUED if may else Status.CANCELLED} == {factories.row(each).status for each in (one, of_many)}


def test_without_its_type_saying_so_anybody_would_go_on_with_it(monkeypatch):
    monkeypatch.setitem(registry._types, bulk.TYPE, replace(registry.get(bulk.TYPE), act_role=Role.VIEWER))
    bulk_id = begin("discard")
    actions.cancel(bulk_id)
    with audit.acting(replace(ANN, role="viewer")):
        actions.retry(bulk_id)

    assert Status.QUEUED == factories.row(bulk_id).status
