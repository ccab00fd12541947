"""Fields below the top of a payload are sealed by the way to them: `sign.secret`, `headers.*`."""

import json
import subprocess
import sys

import pydantic
import pytest
from pydantic_core import PydanticCustomError

from apps.jobs import registry
from apps.jobs.errors import InvalidJob, InvalidPayload, refused
from apps.jobs.registry import job_type
from apps.jobs.services import sealing
from core.sealing import form, keys
from tests.support import factories
from tests.support.factories import registered

SECRET = "s3cr3t-s3cr3t"
TYPE = "call.out"


class Sign(pydantic.BaseModel):
    secret: str = pydantic.Field(alias="key")
    prefix: str = "webhook"


class Call(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    url: str = ""
    headers: dict[str, str] = {}
    sign: Sign | None = None

    @pydantic.field_validator("headers")
    @classmethod
    def _headers(cls, headers):
        if "Told" in headers:
            raise refused("'Told' is not taken")
        if "Raw" in headers:
            raise ValueError(f"{headers} are not taken")
        if "Custom" in headers:
            raise PydanticCustomError("custom", "{it}", {"it": str(headers)})
        return headers

    @pydantic.model_validator(mode="after")
    def _whole(self):
        if self.url == "refuse":
            raise refused("does not go with Header-A", field=("headers", "Header-A"))
        return self


def kind(model=Call, fields=("headers.*", "sign.secret")):
    return registered(TYPE, payload=model, sensitive=fields)


GIVEN = {"url": "u", "headers": {"A": SECRET, "B/~": SECRET}, "sign": {"key": SECRET, "prefix": "p"}}


def test_values_below_are_sealed_and_what_stands_beside_them_is_not():
    with kind() as call:
        text = call.check(GIVEN)
        read = call.read(text)

    stored = json.loads(text)
    assert ("u", "p", {"A", "B/~"}) == (stored["url"], stored["sign"]["prefix"], set(stored["headers"]))
    assert (SECRET in text, Call(**GIVEN)) == (False, read)
    shown = {**GIVEN, "headers": {"A": "(sealed)", "B/~": "(sealed)"}, "sign": {"key": "(sealed)", "prefix": "p"}}
    assert shown == form.shown(stored, secret=call.sensitive) == form.shown(stored)
    assert shown == form.shown(GIVEN, secret=call.sensitive)   # a row from before


def test_a_payload_with_nothing_to_seal_is_left_as_it_is_and_needs_neither_key_nor_cryptography(settings):
    settings.SEAL_KEYS = []
    with kind() as call:
        assert '{"url":"u","headers":{}}' == call.check({"url": "u", "headers": {}})
        assert Call(url="u") == call.read('{"url":"u"}')
        with pytest.raises(form.NoSealKey):
            call.check({"headers": {"A": "1"}})


def test_a_process_that_knows_http_requests_and_seals_nothing_loads_no_cryptography():
    code = (
        "import django, sys; django.setup(); from apps.jobs import registry; kind = registry.get('http.request'); "
        "kind.read(kind.check({'url': 'https://example.com/'})); print('cryptography' in sys.modules); "
        "kind.check({'url': 'https://example.com/', 'headers': {'A': '1'}}); print('cryptography' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ["False", "True"] == ran.stdout.split()


@pytest.mark.parametrize(("payload", "pointer"), [
    ({"headers": {"A": {"$sealed": "01234567:AAAA"}}}, "/payload/headers/A"),
    ({"headers": {"$sealed": "01234567:AAAA"}}, "/payload/headers"),
    ({"sign": {"secret": {"$sealed": "x"}}}, "/payload/sign/secret"),
    ({"sign": {"$sealed": "x"}}, "/payload/sign"),
])   # fmt: skip
def test_a_ready_made_sealed_value_is_refused_at_every_step_of_the_way(payload, pointer):
    with kind() as call, pytest.raises(InvalidJob, match="must be the value itself") as told:
        call.check(payload)

    assert [pointer] == [problem.pointer for problem in told.value.problems]


@pytest.mark.parametrize(("payload", "pointer", "said"), [
    ({"headers": {"A": [SECRET]}}, "/payload/headers/A", "is not what the field takes (string_type); the value is sealed, and not shown"),
    ({"headers": [SECRET]}, "/payload/headers", "Input should be an object"),
    ({"headers": {"Told": SECRET}}, "/payload/headers", "'Told' is not taken"),
    ({"headers": {"Raw": SECRET}}, "/payload/headers", "is refused (value_error); why is not shown, because the type has sealed fields"),
    ({"headers": {"Custom": SECRET}}, "/payload/headers", "is refused (value_error); why is not shown, because the type has sealed fields"),
    ({"sign": {"key": [SECRET]}}, "/payload/sign/key", "is not what the field takes (string_type); the value is sealed, and not shown"),
    ({"sign": {"prefix": "x"}}, "/payload/sign/key", "Field required"),
    ({"url": "refuse", "headers": {"Header-A": SECRET}}, "/payload/headers/Header-A", "does not go with Header-A"),
    ({"url": 7}, "/payload/url", "Input should be a valid string"),
])   # fmt: skip
def test_what_is_wrong_is_told_with_its_place_and_without_the_value(payload, pointer, said):
    with kind() as call, pytest.raises(InvalidJob) as told:
        call.check(payload)

    assert [(pointer, said)] == [(problem.pointer, problem.detail) for problem in told.value.problems]
    assert (None, None) == (told.value.__cause__, told.value.__context__)


def test_a_value_that_was_moved_to_another_name_does_not_open():
    with kind() as call:
        stored = json.loads(call.check({"headers": {"A": "1", "B": "2"}}))
        stored["headers"]["A"] = stored["headers"]["B"]
        with pytest.raises(InvalidPayload, match=r"^/payload/headers/A is sealed and does not open"):
            call.read(json.dumps(stored))


def test_what_was_sealed_whole_opens_when_only_its_members_are_sealed_now():
    with kind(fields=("headers", "sign")) as before:
        text = before.check(GIVEN)
    with kind() as call:
        assert Call(**GIVEN) == call.read(text)
        assert "(sealed)" == form.shown(json.loads(text), secret=call.sensitive)["headers"]


@pytest.mark.parametrize(("field", "says"), [
    ("sign.sekret", "'sign.sekret', which is no field of Sign; its fields are secret, prefix"),
    ("url.inner", None),
    ("*", "names joined by dots"),
    ("headers..x", "names joined by dots"),
    ("a.b.c.d.e", "at most 4"),
])   # fmt: skip
def test_a_way_that_the_model_has_not_is_a_mistake(field, says):
    if says is None:
        assert {tuple(field.split("."))} == registry.sealing("t", Call, [field]).ways
        return
    with pytest.raises(ValueError, match=says.replace("*", r"\*")):
        job_type(TYPE, payload=Call, sensitive=(field,))


def test_the_schema_says_what_is_only_written():
    with kind() as call:
        schema = call.schema()

    assert True is schema["properties"]["headers"]["additionalProperties"]["writeOnly"]
    assert [True, None] == [schema["$defs"]["Sign"]["properties"][name].get("writeOnly") for name in ("key", "prefix")]


@pytest.mark.parametrize("known", [True, False])
def test_a_new_key_takes_over_what_is_sealed_below(known, db, settings):
    settings.SEAL_KEYS = [old, new] = ["A" * 43, "B" * 42 + "A"]
    with kind() as call:
        factories.jobs(1, type=TYPE, payload=call.check(GIVEN))
    settings.SEAL_KEYS = [new, old]

    if known:
        with kind():
            told = sealing.rotate()
    else:
        told = sealing.rotate()

    new_id, old_id = (keys.key_id(keys.decoded(word)) for word in (new, old))
    assert (1, 3, 0, {new_id: 3}, [old_id]) == (told.jobs, told.resealed, told.unopened, told.keys, told.unneeded)
    settings.SEAL_KEYS = [new]
    row = stored_payload()
    with kind() as call:
        assert Call(**GIVEN) == call.read(json.dumps(row))


def stored_payload():
    from apps.jobs.models import Job

    return Job.objects.get(type=TYPE).payload
