import pytest
from django.db import transaction

from core.fencing import StaleToken
from core.fencing.models import ResourceFence
from core.fencing.resources import admit

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_resource_lets_in_the_same_and_higher_tokens_only(tokens):
    with transaction.atomic():
        admit("report:2026", tokens.stale)
        admit("report:2026", tokens.fresh)
        admit("report:2026", tokens.fresh)

    with pytest.raises(StaleToken) as caught, transaction.atomic():
        admit("report:2026", tokens.stale)
    assert tokens.fresh == caught.value.seen
    assert [("report:2026", tokens.fresh)] == list(ResourceFence.objects.values_list("resource", "fence"))


def test_a_transaction_that_is_undone_leaves_no_fence(tokens):
    with transaction.atomic():
        admit("a", tokens.fresh)
        transaction.set_rollback(True)

    with transaction.atomic():
        admit("a", tokens.stale)


def test_outside_of_a_transaction_it_protects_nothing_and_says_so(tokens):
    with pytest.raises(RuntimeError, match=r"transaction\.atomic"):
        admit("a", tokens.fresh)
