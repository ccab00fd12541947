"""What a type accepts as its name, its numbers and its payload."""

import json
import math
import subprocess
import sys
from datetime import timedelta
from typing import Annotated, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.jobs import registry
from apps.jobs.errors import DuplicateJobType, InvalidJob, UnknownJobType
from apps.jobs.registry import MAX_PAYLOAD_BYTES, job_type
from tests.support.factories import registered

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10,
)


class Address(pydantic.BaseModel):
    to: str


class Letter(pydantic.BaseModel):
    addresses: list[Address]
    pages: dict[str, int] = {}


def problems(payload, *, model=registry.Anything):
    with registered(payload=model) as kind, pytest.raises(InvalidJob) as refused:
        kind.check(payload)
    return [(problem.pointer, problem.detail) for problem in refused.value.problems]


def checked(payload, *, model=registry.Anything):
    with registered(payload=model) as kind:
        return kind.check(payload)


@pytest.mark.parametrize("name", ["", "email", "Email.send", "email.", ".send", "email send", "email.send\n", "é.send"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="no name for a job type"):
        job_type(name)


def test_what_a_module_of_types_needs_is_imported_before_django_is_set_up():
    module = (
        "import sys; from apps.jobs import Role, job_type; "
        "job_type('test.closed', enqueue_role=Role.ADMIN, act_role=Role.OPERATOR)(print); "
        "from apps.jobs import registry; print(registry.get('test.closed').enqueue_role, 'apps.jobs.models' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", module], capture_output=True, check=True, text=True).stdout

    assert "admin False\n" == said


@pytest.mark.parametrize("queue", ["", "two words", "-dash", "a" * 101, "new\nline", "q\x06\x163"])
def test_a_queue_that_is_no_name_is_refused(queue):
    with pytest.raises(ValueError, match="no name for a queue"):
        job_type("test.wrong", queue=queue)


@pytest.mark.parametrize("wrong", [
    {"priority": -1}, {"priority": 10}, {"max_attempts": 0}, {"max_attempts": 1001}, {"timeout": timedelta(0)},
    {"payload_version": 0},
])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="priority is 0"):
        job_type("test.wrong", **wrong)


def test_a_name_is_given_once():
    with registered("test.once"), pytest.raises(DuplicateJobType, match=r"test\.once"):
        job_type("test.once")(lambda job, payload: None)


def test_an_unknown_type_is_answered_with_the_known_ones():
    with registered("test.known"), pytest.raises(UnknownJobType) as refused:
        registry.get("test.knwon")

    assert "test.known" in refused.value.known
    assert "/type" == refused.value.problems[0].pointer


def test_the_order_of_a_handler_and_its_decorator_is_kept():
    def handler(job, payload):
        return None

    with registered(handler=handler) as kind:
        assert handler is kind.handler


@given(any_json)
def test_all_json_that_the_database_can_hold_is_accepted_and_comes_back(value):
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        assert "NUL" in problems(value)[0][1]
    else:
        assert value == json.loads(checked(value))


@pytest.mark.parametrize("value", ["\0", {"deep": [{"er": "a\0b"}]}, {"key\0": 1}, "\\\0"])
def test_a_nul_anywhere_is_refused(value):
    assert [("/payload", "holds a NUL character, which cannot be stored: remove it")] == problems(value)


def test_a_text_that_only_looks_like_an_escaped_nul_is_accepted():
    assert {"pattern": "\\u0000"} == json.loads(checked({"pattern": "\\u0000"}))


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["a\udc00"]])
def test_a_lone_surrogate_is_refused(value):
    assert "/payload" == problems(value)[0][0]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_refused(number):
    assert "/payload" == problems({"n": [number]})[0][0]


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, {"x": object()}, {("a", "b"): 1}])
def test_what_json_does_not_know_is_refused(value):
    assert "/payload" == problems(value)[0][0]


def test_nesting_without_end_is_refused():
    endless = []
    endless.append(endless)

    assert "/payload" == problems(endless)[0][0]


def test_nesting_too_deep_to_read_is_refused():
    deep = []
    for _ in range(5000):
        deep = [deep]

    assert "/payload" == problems(deep)[0][0]


def test_a_payload_may_have_256_kib_and_not_a_byte_more():
    quotes = len('""')

    assert MAX_PAYLOAD_BYTES == len(checked("x" * (MAX_PAYLOAD_BYTES - quotes)))
    assert f"has {MAX_PAYLOAD_BYTES + 1} bytes" in problems("x" * (MAX_PAYLOAD_BYTES - quotes + 1))[0][1]


def test_its_size_is_counted_in_bytes_not_in_characters():
    assert f"has {MAX_PAYLOAD_BYTES + 2} bytes" in problems("é" * (MAX_PAYLOAD_BYTES // 2))[0][1]


def test_each_problem_has_a_pointer_to_its_field():
    wrong = {"addresses": [{"to": "a"}, {"to": 7}], "pages": {"a/b~c": "many"}}

    assert ["/payload/addresses/1/to", "/payload/pages/a~1b~0c"] == [pointer for pointer, _ in problems(wrong, model=Letter)]


def test_a_missing_field_is_pointed_at():
    assert ["/payload/addresses"] == [pointer for pointer, _ in problems({}, model=Letter)]


def test_the_members_of_a_union_are_no_part_of_a_pointer():
    class Cat(pydantic.BaseModel):
        kind: Literal["cat"]
        lives: int

    class Dog(pydantic.BaseModel):
        kind: Literal["dog"]

    class Pets(pydantic.BaseModel):
        pets: list[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]
        food: int | list[int] = 0

    wrong = {"pets": [{"kind": "dog"}, {"kind": "cat", "lives": "x"}, {"kind": "cat"}, {"kind": "cow"}], "food": [1, "x"]}

    assert ["/payload/pets/1/lives", "/payload/pets/2/lives", "/payload/pets/3", "/payload/food", "/payload/food/1"] == [
        pointer for pointer, _ in problems(wrong, model=Pets)
    ]


def test_what_is_stored_is_what_was_given_not_what_the_model_makes_of_it():
    assert {"addresses": []} == json.loads(checked({"addresses": []}, model=Letter))


def test_a_model_is_accepted_as_its_own_json():
    assert {"addresses": [{"to": "x"}], "pages": {}} == json.loads(
        checked(Letter(addresses=[Address(to="x")]), model=Letter))


def test_a_model_with_aliases_is_accepted_as_it_would_be_sent():
    class Aliased(pydantic.BaseModel):
        sender: str = pydantic.Field(alias="from")

    assert {"from": "me"} == json.loads(checked(Aliased(**{"from": "me"}), model=Aliased))


def test_a_model_that_cannot_become_json_is_refused_like_any_payload():
    assert "/payload" == problems(Address.model_construct(to="\ud800"))[0][0]
    assert "/payload" == problems(Address.model_construct(to=object()))[0][0]


def test_the_schema_of_a_type_that_declares_none_is_any_json():
    with registered() as kind:
        assert "Anything" == kind.schema()["title"]


def test_a_type_is_described_by_the_first_paragraph_of_its_handler():
    def handler(job, payload):
        """Send it.

        And more.
        """

    with registered(handler=handler) as kind:
        assert "Send it." == kind.description
