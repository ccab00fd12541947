import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from core.api import idempotency
from core.api.models import ApiToken, IdempotencyRecord
from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]
NOTE = {"text": "a"}


def notes() -> int:
    return ApiToken.objects.filter(name="a").count()


def key(value="k", fingerprint="f"):
    return idempotency.Key(principal="p", route="r", value=value, fingerprint=fingerprint)


def test_a_repeat_gets_the_first_result_and_makes_nothing(operator):
    first, second = (operator.post("/api/notes", NOTE, Idempotency_Key="k1") for _ in range(2))

    assert [first.status_code, second.status_code] == [201, 200]
    assert first.json() == second.json()
    assert notes() == 1


def test_without_a_key_each_request_makes_something(operator):
    for _ in range(2):
        operator.post("/api/notes", NOTE)

    assert notes() == 2


def test_a_quoted_key_and_other_spelling_of_the_body_are_the_same_request(operator):
    operator.post("/api/notes", b'{"text": "a", "count": 2}', Idempotency_Key='"k1"')

    response = operator.post("/api/notes", b'{ "count":2,"text":"\\u0061"}', Idempotency_Key="k1")

    assert (response.status_code, notes()) == (200, 1)


def test_the_same_key_with_another_body_is_refused_and_not_run(operator):
    operator.post("/api/notes", NOTE, Idempotency_Key="k1")

    response = operator.post("/api/notes", {"text": "b"}, Idempotency_Key="k1")

    assert (response.status_code, response.json()["title"]) == (422, "Idempotency key reused")
    assert not ApiToken.objects.filter(name="b").exists()


def test_the_key_of_somebody_else_is_another_key(operator):
    operator.post("/api/notes", NOTE, Idempotency_Key="k1")

    response = Caller.of("operator").post("/api/notes", NOTE, Idempotency_Key="k1")

    assert (response.status_code, notes()) == (201, 2)


@pytest.mark.parametrize("value", ["", " ", '""', "a b", '"a', "a" * 256, "é", "a,b"])
def test_a_malformed_key_is_refused(operator, value):
    response = operator.post("/api/notes", NOTE, Idempotency_Key=value)

    assert (response.status_code, notes()) == (400, 0)


def test_a_request_that_failed_leaves_its_key_free():
    def fail():
        ApiToken.objects.create(name="a", role="viewer")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        idempotency.perform(key(), fail)
    done = idempotency.perform(key(), lambda: 1)

    assert (done.replayed, notes()) == (False, 0)


def test_an_old_key_is_new_again():
    idempotency.perform(key(), lambda: 1)
    IdempotencyRecord.objects.update(expires_at=Now())

    done = idempotency.perform(key(fingerprint="other"), lambda: 2)

    assert (done.result, done.replayed) == (2, False)
    assert idempotency.perform(key(fingerprint="other"), lambda: 3).result == 2


def test_old_records_are_pruned_and_young_ones_kept():
    for value in "abc":
        idempotency.perform(key(value), lambda: 1)
    IdempotencyRecord.objects.exclude(key="c").update(expires_at=Now())

    assert [idempotency.prune(limit=1), idempotency.prune(), idempotency.prune()] == [1, 1, 0]
    assert IdempotencyRecord.objects.get().key == "c"


@contextmanager
def first_request(work):
    """Somebody who has begun to work on the key in a transaction of their own, and has not ended."""
    begun, end = threading.Event(), threading.Event()

    def wait_and_work():
        begun.set()
        assert end.wait(30)
        return work()

    def run():
        try:
            idempotency.perform(key(), wait_and_work)
        except RuntimeError:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_while_the_first_runs_a_repeat_is_told_so_and_then_gets_its_result():
    with first_request(lambda: "first"), pytest.raises(idempotency.Problem) as refused:
        idempotency.perform(key(), lambda: "second")
    done = idempotency.perform(key(), lambda: "third")

    assert (refused.value.status_code, refused.value.headers) == (409, {"Retry-After": "1"})
    assert (done.result, done.replayed) == ("first", True)


@pytest.mark.django_db(transaction=True)
def test_when_the_first_dies_the_next_takes_over():
    def die():
        raise RuntimeError

    with first_request(die), pytest.raises(idempotency.Problem):
        idempotency.perform(key(), lambda: "second")
    done = idempotency.perform(key(), lambda: "third")

    assert (done.result, done.replayed) == ("third", False)


@pytest.mark.django_db(transaction=True)
def test_the_record_comes_and_goes_with_the_work():
    with transaction.atomic():
        idempotency.perform(key(), lambda: "first")
        transaction.set_rollback(True)

    assert not IdempotencyRecord.objects.exists()
