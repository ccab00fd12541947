"""A grant that an operator has ended is refused by rows of this database before anybody else has written there."""

import pytest
from django.db import transaction

from core.fencing import StaleToken, grants
from core.fencing.models import ResourceFence
from core.fencing.resources import admit
from core.fencing.rows import fenced_update, raise_fence

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows():
    """Rows that know no token yet; any model with a column `fence` will do."""
    ResourceFence.objects.create(resource="payment:7", fence=0)
    return ResourceFence.objects.filter(resource="payment:7")


def test_its_next_write_is_refused(rows, tokens):
    assert 1 == fenced_update(rows, tokens.stale)
    grants.revoke(tokens.stale)

    for write in (
        lambda: fenced_update(rows, tokens.stale), lambda: raise_fence(rows, tokens.stale), lambda: admit("report:7", tokens.stale),
    ):
        with pytest.raises(StaleToken) as caught, transaction.atomic():
            write()
        assert (tokens.stale, tokens.stale + 1) == (caught.value.token, caught.value.seen)
    assert not ResourceFence.objects.filter(resource="report:7").exists()


def test_without_that_it_would_write_on(rows, tokens):
    assert 1 == fenced_update(rows, tokens.stale)
    admit("report:7", tokens.stale)


def test_the_next_holder_writes(rows, tokens):
    grants.revoke(tokens.stale)

    assert 1 == fenced_update(rows, tokens.fresh)
    admit("report:7", tokens.fresh)


def test_two_operators_revoke_it_once(rows, tokens):
    for _ in range(2):
        grants.revoke(tokens.stale)

    assert 1 == ResourceFence.objects.filter(resource=f"grant:{tokens.stale}").count()


def test_a_revocation_that_is_undone_was_none(rows, tokens):
    with transaction.atomic():
        grants.revoke(tokens.stale)
        transaction.set_rollback(True)

    assert 1 == fenced_update(rows, tokens.stale)


def test_a_write_that_finds_its_rows_asks_nothing_more_for_it(rows, tokens, django_assert_num_queries):
    with django_assert_num_queries(4):   # a savepoint, the update, what refused it, the savepoint's end
        fenced_update(rows, tokens.fresh)


def test_rows_that_do_not_exist_are_none_and_no_refusal(tokens):
    assert 0 == fenced_update(ResourceFence.objects.filter(resource="nobody"), tokens.fresh)
