"""A value opens with its key, at its place, as it was; and else not at all."""

import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sealing import form, keys, ring

OLD, NEW = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
PLACE = form.place("pay.card", "card")
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)


def a_ring(*words):
    return ring._ring(words)


@given(any_json)
def test_any_value_comes_back(value):
    sealed = a_ring(NEW).seal(value, place=PLACE)

    assert value == a_ring(NEW).open(sealed, place=PLACE)
    assert form.is_sealed(sealed)


def test_equal_values_are_sealed_differently():
    assert 2 == len({a_ring(NEW).seal("same", place=PLACE)[form.MARK] for _ in range(2)})


def test_the_first_key_seals_and_all_open():
    before = a_ring(OLD).seal("x", place=PLACE)
    both = a_ring(NEW, OLD)

    assert keys.key_id(keys.decoded(NEW)) == form.key_of(both.seal("x", place=PLACE)) == both.first
    assert "x" == both.open(before, place=PLACE)


def test_a_missing_key_is_named_with_the_fix():
    sealed = a_ring(OLD).seal("x", place=PLACE)

    with pytest.raises(ring.UnknownSealKey, match=rf"{form.key_of(sealed)}.*put the old key back into SEAL_KEYS"):
        a_ring(NEW).open(sealed, place=PLACE)


@pytest.mark.parametrize("other", [form.place("pay.card", "token"), form.place("pay.other", "card"), form.place("pay.cardcard", "")])
def test_a_value_does_not_open_at_another_place(other):
    sealed = a_ring(NEW).seal("x", place=PLACE)

    with pytest.raises(ring.DamagedSeal):
        a_ring(NEW).open(sealed, place=other)


def test_no_changed_byte_opens():
    sealed = a_ring(NEW).seal("x", place=PLACE)
    name, _, text = sealed[form.MARK].partition(":")
    data = base64.urlsafe_b64decode(text)
    for number in range(len(data)):
        changed = bytes(byte ^ (number == place) for place, byte in enumerate(data))
        with pytest.raises(ring.DamagedSeal):
            a_ring(NEW).open({form.MARK: f"{name}:{base64.urlsafe_b64encode(changed).decode()}"}, place=PLACE)

    assert "x" == a_ring(NEW).open(sealed, place=PLACE)


@pytest.mark.parametrize("rest", ["", ":", ":!", ":AAAA", ":é"])
def test_what_is_no_sealed_value_is_damaged(rest):
    for value in (rest, f"{a_ring(NEW).first}{rest}", None, 7, {}):
        with pytest.raises(ring.DamagedSeal):
            a_ring(NEW).open({form.MARK: value}, place=PLACE)


def test_without_a_key_nothing_is_sealed_and_the_fix_is_said():
    with pytest.raises(form.NoSealKey, match=r"SEAL_KEYS is not set.*token_urlsafe"):
        a_ring().seal("x", place=PLACE)


@pytest.mark.parametrize("words", [["short"], [OLD, OLD], [f"{OLD}=", OLD], [OLD, "!" * 43]])
def test_a_list_that_is_none_is_refused_without_showing_it(words):
    with pytest.raises(ValueError, match=r"must be keys|names a key twice") as refused:
        keys.check(words)

    assert not any(word in str(refused.value) for word in words)


def test_keys_of_fernet_will_do():
    keys.check([base64.urlsafe_b64encode(bytes(range(32))).decode(), NEW])


def test_members_that_are_sealed_or_should_be_are_hidden():
    sealed = a_ring(NEW).seal("x", place=PLACE)

    assert {"a": "(sealed)", "b": "(sealed)", "c": 1} == form.shown({"a": sealed, "b": "plain", "c": 1}, secret={("b",)})
    assert [1] == form.shown([1], secret={("b",)})
