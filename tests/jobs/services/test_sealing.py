"""The first key takes over what older ones have sealed, whoever holds a job, and says which key may go."""

import json
import secrets

import pytest

from apps.jobs import services as jobs
from apps.jobs.lifecycle import Status
from apps.jobs.models import Job
from apps.jobs.services import sealing
from apps.jobs.testing import assert_enqueued, drain, run_handler
from core.audit.models import AuditEntry
from core.sealing import form, keys
from tests.jobs.management.conftest import typed
from tests.support import factories

__all__ = ["typed"]

TYPE = "pay.card"
OLD, NEW = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
OLD_ID, NEW_ID = (keys.key_id(keys.decoded(word)) for word in (OLD, NEW))
SECRET = "4111-1111"


@pytest.fixture
def cards(db):
    """Note which cards the handler saw."""
    seen = []
    with factories.registered(TYPE, sensitive=("card",), handler=lambda job, payload: seen.append(payload.root["card"])):
        yield seen


@pytest.fixture
def stored(cards, settings):
    """Five jobs of the old key: one has finished, one is a dead letter; and one that has nothing sealed."""
    settings.SEAL_KEYS = [OLD]
    ids = jobs.enqueue_many(TYPE, [{"card": SECRET, "amount": 1.5, "number": number} for number in range(5)])
    drain(max_jobs=1)
    settings.SEAL_KEYS = [NEW]
    drain(max_jobs=1)
    with factories.registered("other.kind"):
        jobs.enqueue("other.kind", {"card": SECRET})
    settings.SEAL_KEYS = [NEW, OLD]
    return ids


def key_ids(ids):
    return {form.key_of(row.payload["card"]) for row in Job.objects.filter(id__in=ids)}


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_all_is_sealed_with_the_first_key_and_the_old_one_may_go(stored, settings, cards, batch):
    before = {row.id: row.payload for row in Job.objects.all()}

    told = sealing.rotate(batch=batch)

    assert (NEW_ID, 5, 5, 0, 0, {NEW_ID: 5}, [OLD_ID]) == (
        told.key, told.jobs, told.resealed, told.busy, told.unopened, told.keys, told.unneeded,
    )
    assert {NEW_ID} == key_ids(stored)
    assert all({**row.payload, "card": None} == {**before[row.id], "card": None} for row in Job.objects.all())
    settings.SEAL_KEYS = [NEW]
    jobs.retry(Job.objects.get(status=Status.DEAD_LETTER).id)
    drain(queues=["default"])
    assert [SECRET] * 5 == cards


def test_a_dry_run_counts_and_changes_nothing(stored):
    told = sealing.rotate(dry_run=True)

    assert (5, {OLD_ID: 5}, []) == (told.resealed, told.keys, told.unneeded)
    assert {OLD_ID} == key_ids(stored)
    assert [] == list(AuditEntry.objects.filter(action="seal.rotate"))


def test_a_second_run_has_nothing_to_do(stored):
    sealing.rotate()
    told = sealing.rotate()

    assert (0, {NEW_ID: 5}, [OLD_ID]) == (told.resealed, told.keys, told.unneeded)


def test_what_no_key_opens_stays_and_is_counted(stored, settings):
    settings.SEAL_KEYS = [NEW]

    told = sealing.rotate()

    assert (0, 5, {OLD_ID: 5}, []) == (told.resealed, told.unopened, told.keys, told.unneeded)
    assert {OLD_ID} == key_ids(stored)


def test_plain_values_from_before_are_sealed(cards, settings):
    factories.jobs(2, type=TYPE, payload=json.dumps({"card": SECRET}))
    settings.SEAL_KEYS = [NEW]

    assert {"plain": 2} == sealing.rotate(dry_run=True).keys
    assert (2, {NEW_ID: 2}) == ((told := sealing.rotate()).resealed, told.keys)
    drain()
    assert [SECRET] * 2 == cards


def test_values_of_types_that_are_not_known_here_are_sealed_too(cards, settings):
    settings.SEAL_KEYS = [OLD]
    with factories.registered("gone.kind", sensitive=("card",)):
        ids = [jobs.enqueue("gone.kind", {"card": SECRET})]
    settings.SEAL_KEYS = [NEW, OLD]

    assert 1 == sealing.rotate().resealed
    assert {NEW_ID} == key_ids(ids)


@pytest.mark.django_db(transaction=True)
def test_a_job_that_its_handler_holds_is_left_and_no_key_is_given_up(settings):
    settings.SEAL_KEYS = [OLD]
    with factories.registered(TYPE, sensitive=("card",)):
        held, free = jobs.enqueue_many(TYPE, [{"card": SECRET}] * 2)
        settings.SEAL_KEYS = [NEW, OLD]
        with factories.own_connection("holder") as holder, holder.transaction():
            holder.execute("SELECT 1 FROM job WHERE id = %s FOR UPDATE", [held])
            told = sealing.rotate()

            assert (1, 1, []) == (told.resealed, told.busy, told.unneeded)
            assert ({OLD_ID}, {NEW_ID}) == (key_ids([held]), key_ids([free]))
        assert (1, [OLD_ID]) == ((again := sealing.rotate()).resealed, again.unneeded)


def test_the_command_says_it_to_people_and_machines_and_is_told_to_the_audit(stored, typed):
    foreseen = typed("seal_rotate", "--dry-run", "--json").facts
    done = typed("seal_rotate")
    after = typed("seal_rotate", "--dry-run", "--json").facts

    assert (True, 5, {OLD_ID: 5}) == (foreseen["dry_run"], foreseen["resealed"], foreseen["keys"])
    assert f"Nothing that is stored needs {OLD_ID}" in done.out
    assert (0, [OLD_ID], {NEW_ID: 5}) == (after["resealed"], after["unneeded"], after["keys"])
    assert [{"first_key": NEW_ID}] == [entry.after for entry in AuditEntry.objects.filter(action="seal.rotate")]
    assert SECRET not in done.out


def test_the_command_without_a_key_says_what_is_missing(db, typed, settings):
    settings.SEAL_KEYS = []

    assert (1, True) == ((answered := typed("seal_rotate")).status, "SEAL_KEYS is not set" in answered.err)


def test_the_kit_opens_for_handlers_and_claims(cards):
    run_handler(TYPE, {"card": SECRET})
    jobs.enqueue(TYPE, {"card": SECRET})

    assert [SECRET] == cards
    assert_enqueued(TYPE, payload={"card": SECRET}, count=1)
    assert_enqueued(TYPE, payload={"card": "another"}, count=0)


def test_a_replaced_job_and_its_successor_are_both_sealed(cards):
    first = jobs.enqueue(TYPE, {"card": SECRET}, unique_key="k")
    second = jobs.enqueue(TYPE, {"card": SECRET}, unique_key="k", on_conflict="replace")

    assert [True, True] == [form.is_sealed(row.payload["card"]) for row in Job.objects.filter(id__in=[first, second])]
