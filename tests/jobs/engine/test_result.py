"""What can be stored of what a handler returns and raises."""

import json
import math

import pytest

from apps.jobs.engine.result import (
    MOST_MESSAGE,
    MOST_RESULT_BYTES,
    MOST_TRACEBACK,
    described,
    error_text,
    storable,
)
from apps.jobs.errors import UnstorableResult

BACKSLASH = "\\"


@pytest.mark.parametrize("value", [
    {"a": [1, 2.5, None, True, "ä🙂"]}, [], "", 0, False, BACKSLASH + "u0000", BACKSLASH * 2 + "u0000", {BACKSLASH + "u0000": 1},
])
def test_json_is_stored_as_it_is(value):
    assert value == json.loads(storable(value))


def test_none_is_no_result():
    assert None is storable(None)


@pytest.mark.parametrize("value", ["\0", "a" + BACKSLASH + "\0", {"\0": 1}, [[{"k": "x\0"}]]])
def test_a_nul_is_refused_wherever_it_stands(value):
    with pytest.raises(UnstorableResult, match="NUL"):
        storable(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["ok", "\ud83d"]])
def test_half_a_surrogate_pair_is_refused(value):
    with pytest.raises(UnstorableResult, match="surrogate"):
        storable(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", math.nan, math.inf, {(1, 2): 3}, 1j])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(UnstorableResult, match="not JSON"):
        storable(value)


def test_a_cycle_is_refused():
    value = []
    value.append(value)

    with pytest.raises(UnstorableResult):
        storable(value)


def test_the_limit_counts_bytes_as_they_are_stored():
    fits = "ä" * ((MOST_RESULT_BYTES - 2) // 2)

    assert MOST_RESULT_BYTES == len(storable(fits).encode())
    with pytest.raises(UnstorableResult, match=str(MOST_RESULT_BYTES)):
        storable(fits + "ä")


def test_an_error_is_named_by_its_module_unless_it_is_a_builtin():
    assert "ValueError" == json.loads(described(ValueError("x")))["class"]
    assert "apps.jobs.errors.UnstorableResult" == json.loads(described(UnstorableResult("x")))["class"]


def test_an_error_whose_text_cannot_be_made_is_described_all_the_same():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert "RuntimeError" in json.loads(described(Mute()))["message"]


def test_a_traceback_tells_where_it_was_raised():
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0   # noqa: B018  it is to raise

    assert "1 / 0" in json.loads(described(caught.value))["traceback"]


def test_an_error_is_cut_and_cleaned():
    error = json.loads(error_text("N\0", "m" * (MOST_MESSAGE + 1), "first" + "t" * MOST_TRACEBACK + "\ud800last"))

    assert ("N\N{REPLACEMENT CHARACTER}", MOST_MESSAGE) == (error["class"], len(error["message"]))
    assert (MOST_TRACEBACK, True) == (len(error["traceback"]), error["traceback"].endswith("?last"))
