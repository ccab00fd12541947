"""What a type may name its lock after, and what a payload makes of it."""

import uuid
from datetime import timedelta

import pydantic
import pytest

from apps.jobs.errors import InvalidJob
from apps.jobs.registry import job_type
from tests.support.factories import registered


class Customer(pydantic.BaseModel):
    number: int


class Payment(pydantic.BaseModel):
    order_id: int
    customer: Customer | None = None
    note: str = pydantic.Field("", alias="remark")
    lines: list[int] = []


def key(template, payload, *, model=Payment):
    with registered(payload=model, lock=template) as kind:
        return kind.lock_key(kind.check(payload))


def problems(template, payload, *, model=Payment):
    with pytest.raises(InvalidJob) as refused:
        key(template, payload, model=model)
    return [(problem.pointer, problem.detail) for problem in refused.value.problems]


@pytest.mark.parametrize(("template", "payload", "expected"), [
    ("payment:{order_id}", {"order_id": 7}, "payment:7"),
    ("payment:{order_id}", {"order_id": "7"}, "payment:7"),   # as the model reads it, so that both are one lock
    ("{customer.number}/{order_id}", {"order_id": 7, "customer": {"number": 3}}, "3/7"),
    ("nightly", {"order_id": 7}, "nightly"),
    ("note:{note}", {"order_id": 7, "remark": "x"}, "note:x"),
    ("{{{order_id}}}", {"order_id": 7}, "{7}"),
])
def test_a_lock_is_named_after_members_of_the_payload(template, payload, expected):
    assert expected == key(template, payload)


def test_a_type_without_a_model_names_its_lock_after_what_it_is_given():
    with registered(lock="k:{n}") as kind:
        assert "k:5" == kind.lock_key(kind.check({"n": 5}))


@pytest.mark.parametrize(("template", "payload", "pointer"), [
    ("c:{customer.number}", {"order_id": 7}, "/payload/customer/number"),
    ("l:{lines}", {"order_id": 7, "lines": [1]}, "/payload/lines"),
    ("n:{note}", {"order_id": 7, "remark": "\n"}, "/payload"),
    ("n:{note}", {"order_id": 7, "remark": "x" * 256}, "/payload"),
    ("n:{note}", {"order_id": 7, "remark": "\x00"}, "/payload"),
])
def test_a_payload_that_names_no_lock_is_refused_with_the_member_to_change(template, payload, pointer):
    assert [pointer] == [where for where, _ in problems(template, payload)]


def test_a_missing_member_says_what_it_is_needed_for():
    with registered(lock="k:{n}") as kind, pytest.raises(InvalidJob, match=r"the lock 'k:\{n\}' is named after it") as refused:
        kind.lock_key(kind.check({}))

    assert ["/payload/n"] == [problem.pointer for problem in refused.value.problems]


@pytest.mark.parametrize(("options", "said"), [
    ({"lock": "payment:{order"}, "no name of a lock"),
    ({"lock": "payment:{}"}, "no name of a lock"),
    ({"lock": "payment:{0}"}, "no name of a lock"),
    ({"lock": "payment:{order_id:>9}"}, "no name of a lock"),
    ({"lock": "payment:{order_id!r}"}, "no name of a lock"),
    ({"lock": "payment:{order_id.__class__.x y}"}, "no name of a lock"),
    ({"lock": "  "}, "names nothing"),
    ({"lock": "payment:{ordr_id}"}, "which Payment does not have: order_id"),
    ({"lock": "p", "on_busy": "later"}, "snooze, discard, wait"),
    ({"lock": "p", "lock_lease": timedelta(seconds=0.5)}, "lock_lease is between"),
    ({"lock": "p", "guard": True}, "an attempt has one token"),
    ({"lock": "p:{note}", "sensitive": ("note",)}, "which is sealed"),
    ({"lock": "p:{note}", "sensitive": ("remark",)}, "which is sealed"),
])
def test_a_lock_that_no_payload_could_name_is_refused_at_registration(options, said):
    with pytest.raises(ValueError, match=said):
        job_type("test.wrong", payload=Payment, **options)


def test_a_lock_is_not_named_after_a_sealed_member_of_a_payload_without_a_model_either():
    """Its name is open to everybody."""
    with pytest.raises(ValueError, match="which is sealed"):
        job_type("test.wrong", lock="k:{secret.number}", sensitive=("secret",))


def test_a_type_without_a_lock_has_no_key():
    with registered(payload=Payment) as kind:
        assert kind.lock_key(kind.check({"order_id": 1})) is None


def test_an_id_and_its_text_name_the_same_lock():
    class Order(pydantic.BaseModel):
        id: uuid.UUID

    same = uuid.uuid4()

    assert key("o:{id}", {"id": str(same)}, model=Order) == key("o:{id}", {"id": same.hex}, model=Order)
