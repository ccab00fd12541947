"""What a type seals, what it refuses, and what it says: never the value."""

import json
import traceback
from typing import Annotated, Any, Literal

import pydantic
import pytest

from apps.jobs import registry
from apps.jobs.checks import check_types
from apps.jobs.errors import InvalidJob, InvalidPayload, PayloadModelFailed
from apps.jobs.registry import job_type
from core.sealing import form
from tests.support.factories import registered

SECRET = "4111-1111-1111-1111"


class Payment(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    order: int
    card: str
    token: dict[str, Any] | None = None


def card(**changes):
    return {"order": 7, "card": SECRET, **changes}


def kind(model=Payment, fields=("card", "token")):
    return registered("pay.card", payload=model, sensitive=fields)


def everything(exc):
    """Return all that a log or a page could show of an exception, and of those that it came from."""
    seen, told = exc, []
    while seen is not None:
        told += [str(seen), repr(seen), "".join(traceback.format_exception(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(told)


def test_named_fields_are_sealed_and_come_back():
    with kind() as pay:
        text = pay.check(card(token={"a": [1, None]}))
        payload = pay.read(text)

    stored = json.loads(text)
    assert (7, True, True) == (stored["order"], form.is_sealed(stored["card"]), form.is_sealed(stored["token"]))
    assert Payment(**card(token={"a": [1, None]})) == payload
    assert SECRET not in text


def test_without_sensitive_fields_nothing_is_sealed():
    with registered("pay.card", payload=Payment) as pay:
        assert card() == json.loads(pay.check(card()))
        assert pay.sealing is None


def test_a_model_is_sealed_like_its_payload_and_its_secrets_are_not_lost():
    class Hidden(pydantic.BaseModel):
        card: pydantic.SecretStr

    with kind(Hidden, ("card",)) as pay:
        text = pay.check(Hidden(card=SECRET))
        assert SECRET == pay.read(text).card.get_secret_value()
    assert SECRET not in text


class Spelt(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_by_name=True, validate_by_alias=True)
    card: str = pydantic.Field(alias="cardNumber")
    token: str = pydantic.Field(validation_alias=pydantic.AliasChoices("tok", pydantic.AliasPath("access", "token")))


@pytest.mark.parametrize("fields", [("card", "token"), ("cardNumber", "tok")])
@pytest.mark.parametrize("payload", [
    {"card": SECRET, "tok": SECRET}, {"cardNumber": SECRET, "access": {"token": SECRET}},
])   # fmt: skip
def test_every_spelling_of_a_field_is_sealed(fields, payload):
    with kind(Spelt, fields) as pay:
        text = pay.check(payload)
        assert (SECRET, SECRET) == ((read := pay.read(text)).card, read.token)
    assert SECRET not in text


def test_a_field_that_the_model_has_not_is_a_mistake():
    with pytest.raises(ValueError, match="'kard', which is no field of Payment; its fields are order, card, token"):
        job_type("pay.card", payload=Payment, sensitive=("kard",))


@pytest.mark.parametrize("value", [{"$sealed": "01234567:AAAA"}, {"$sealed": 1, "more": 2}, {"$sealed": None}])
@pytest.mark.parametrize("field", ["card", "token"])
def test_a_ready_made_sealed_value_is_refused(field, value):
    with kind() as pay, pytest.raises(InvalidJob) as refused:
        pay.check(card(**{field: value}))

    assert [f"/payload/{field}"] == [problem.pointer for problem in refused.value.problems]
    assert "must be the value itself" in refused.value.problems[0].detail


def test_even_a_real_sealed_value_of_the_same_field_is_refused():
    with kind() as pay:
        stored = json.loads(pay.check(card(token={})))
        with pytest.raises(InvalidJob, match="must be the value itself"):
            pay.check(card(token=stored["token"]))


def test_a_payload_that_is_no_object_is_refused():
    with kind(registry.Anything) as pay, pytest.raises(InvalidJob, match="must be an object"):
        pay.check([SECRET])


def _no(value):
    raise ValueError(f"{value} is no card")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    card: Annotated[str, pydantic.AfterValidator(_no)] | None = None
    kinds: dict[Literal["a"], int] | None = None
    whole: bool = True
    other: str = ""

    @pydantic.field_validator("other")
    @classmethod
    def _other(cls, value, info):
        if value:
            raise ValueError(f"does not go with {info.data.get('kinds')}")
        return value

    @pydantic.model_validator(mode="after")
    def _model(self):
        if not self.whole:
            raise ValueError(f"will not have {self}")
        return self


WRONG = [
    (Payment, {"order": 7, "card": [SECRET]}, ["/payload/card"]),
    (Payment, {"order": SECRET, "card": "c", "token": SECRET}, ["/payload/order", "/payload/token"]),
    (Payment, {"order": 7, "token": {"a": SECRET}}, ["/payload/card"]),
    (Strict, {"card": SECRET}, ["/payload/card"]),
    (Strict, {"kinds": {SECRET: 1}}, ["/payload/kinds"]),
    (Strict, {"whole": False, "kinds": None, "other": "", "card": None}, ["/payload"]),
    (Strict, {"kinds": {"a": 4111}, "other": "x"}, ["/payload/other"]),
]
FIELDS = {Payment: ("card", "token"), Strict: ("card", "kinds")}


@pytest.mark.parametrize(("model", "payload", "pointers"), WRONG)
def test_what_is_wrong_is_told_without_the_value(model, payload, pointers):
    with kind(model, FIELDS[model]) as pay, pytest.raises(InvalidJob) as refused:
        pay.check(payload)

    assert pointers == [problem.pointer for problem in refused.value.problems]
    told = everything(refused.value)
    shown = [secret for secret in (SECRET, "4111", "will not have") if secret in told and payload.get("order") != secret]
    assert [] == shown


def test_without_the_guard_pydantic_would_show_it():
    with registered("pay.card", payload=Payment) as pay, pytest.raises(InvalidJob) as refused:
        pay.check({"order": 7, "card": [SECRET]})

    assert SECRET in everything(refused.value)


class Fails(pydantic.BaseModel):
    card: str

    @pydantic.field_validator("card")
    @classmethod
    def _card(cls, value):
        raise KeyError(value)


def test_whatever_a_model_raises_does_not_carry_the_value():
    with kind(Fails, ("card",)) as pay:
        for call in (lambda: pay.check({"card": SECRET}), lambda: pay.read(json.dumps({"card": SECRET}))):
            with pytest.raises(PayloadModelFailed, match="KeyError") as failed:
                call()
            assert SECRET not in everything(failed.value)


@pytest.mark.parametrize("payload", [{"card": {1, 2}}, {"card": float("nan")}, {"card": f"{SECRET}\ud800"}, {"card": f"{SECRET}\0"}])
def test_what_is_no_json_is_told_without_the_value(payload):
    with kind(registry.Anything, ("card",)) as pay, pytest.raises(InvalidJob) as refused:
        pay.check(payload)

    assert SECRET not in everything(refused.value)


def test_what_is_too_large_when_sealed_is_refused():
    with kind(registry.Anything, ("card",)) as pay:
        pay.check({"card": "x" * 190_000})
        with pytest.raises(InvalidJob, match="at most 262144"):
            pay.check({"card": "x" * 200_000})


def test_a_stored_value_that_does_not_open_names_field_and_fix(settings):
    with kind() as pay:
        text = pay.check(card(token={}))
        settings.SEAL_KEYS = ["A" * 43]
        with pytest.raises(InvalidPayload) as failed:
            pay.read(text)

    key = form.key_of(json.loads(text)["card"])
    assert 2 == str(failed.value).count(f"is sealed with the key {key}, which SEAL_KEYS has not: put the old key back into SEAL_KEYS")
    assert ("/payload/card" in str(failed.value), "/payload/token" in str(failed.value)) == (True, True)


def test_a_value_that_was_moved_to_another_field_does_not_open():
    with kind(registry.Anything, ("card", "token")) as pay:
        stored = json.loads(pay.check({"card": 1, "token": 2}))
        swapped = {"card": stored["token"], "token": stored["card"]}
        with pytest.raises(InvalidPayload, match=r"/payload/card is sealed and does not open.*put the old key back into SEAL_KEYS"):
            pay.read(json.dumps(swapped))


def test_a_row_from_before_the_field_was_sealed_is_read():
    with kind() as pay:
        assert SECRET == pay.read(json.dumps(card())).card


def test_a_stored_payload_that_no_longer_fits_is_told_without_the_value():
    with kind(registry.Anything, ("card", "token")) as pay:
        text = pay.check({"order": 7, "card": [SECRET]})
    with kind() as pay, pytest.raises(InvalidPayload, match="/payload/card") as failed:
        pay.read(text)

    assert SECRET not in everything(failed.value)


def test_the_schema_says_which_fields_are_only_written():
    with kind() as pay:
        found = {name for name, field in pay.schema()["properties"].items() if field.get("writeOnly")}

    assert {"card", "token"} == found


def test_a_type_with_fields_to_seal_and_no_key_is_a_complaint(settings):
    with kind():
        assert [] == check_types()
        settings.SEAL_KEYS = []
        [complaint] = check_types()
    [without] = check_types()

    assert ("jobs.E007", True, True) == (complaint.id, "pay.card" in complaint.msg, "SEAL_KEYS_FILE" in complaint.hint)
    assert "SEAL_KEYS is not set, and http.request has fields to seal" == without.msg
