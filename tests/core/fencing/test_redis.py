import os

import pytest
import redis

from core.fencing import StaleToken
from core.fencing.redis import FencedValues

KEY = "fencing-test"


@pytest.fixture
def client():
    with redis.Redis.from_url(os.environ["CACHE_URL"]) as client:
        client.delete(KEY)
        yield client
        client.delete(KEY)


@pytest.fixture
def values(client):
    return FencedValues(client)


def test_a_stale_writer_changes_nothing(values, tokens):
    values.set(KEY, "first", token=tokens.stale)
    values.set(KEY, "second", token=tokens.fresh)

    with pytest.raises(StaleToken) as caught:
        values.set(KEY, "late", token=tokens.stale)
    with pytest.raises(StaleToken):
        values.delete(KEY, token=tokens.stale)

    assert (tokens.fresh, b"second") == (caught.value.seen, values.get(KEY))


def test_without_the_fence_it_would(client, values, tokens):
    values.set(KEY, "second", token=tokens.fresh)
    client.hset(KEY, "value", "late")

    assert b"late" == values.get(KEY)


def test_raising_the_fence_stops_an_older_holder_before_anything_is_written(values, tokens):
    values.raise_fence(KEY, token=tokens.fresh)

    with pytest.raises(StaleToken):
        values.set(KEY, "late", token=tokens.stale)
    assert values.get(KEY) is None


def test_what_is_deleted_keeps_its_fence(values, tokens):
    values.set(KEY, "x", token=tokens.fresh)
    values.delete(KEY, token=tokens.fresh)

    with pytest.raises(StaleToken):
        values.set(KEY, "late", token=tokens.stale)


@pytest.mark.parametrize(("low", "high"), [(9, 10), (99_999, 100_000), (2**53, 2**53 + 1), (2**63 - 2, 2**63 - 1)])
def test_tokens_are_compared_as_numbers_and_exactly(values, low, high):
    values.set(KEY, "x", token=high)

    with pytest.raises(StaleToken):
        values.set(KEY, "late", token=low)
    values.set(KEY, "y", token=high)
