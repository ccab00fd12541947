import threading

import pytest
from django.db import connection, models, transaction

from core.fencing import StaleToken
from core.fencing.rows import FencedModel, fenced_update, raise_fence

pytestmark = pytest.mark.django_db(transaction=True)


class Account(FencedModel):
    owner = models.TextField()
    balance = models.IntegerField(default=0)

    class Meta:
        app_label = "fencing_tests"


@pytest.fixture(autouse=True)
def table():
    with connection.schema_editor() as editor:
        editor.create_model(Account)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Account)


@pytest.fixture
def account():
    return Account.objects.create(owner="ann")


def rows():
    return list(Account.objects.order_by("pk").values_list("balance", "fence"))


def test_a_holder_writes_as_often_as_it_wants(account, tokens):
    for balance in (1, 2):
        account.fenced_save(tokens.fresh, balance=balance)

    assert [(2, tokens.fresh)] == rows()
    assert (2, tokens.fresh) == (account.balance, account.fence)


def test_a_stale_writer_changes_nothing(account, tokens):
    account.fenced_save(tokens.fresh, balance=2)

    with pytest.raises(StaleToken) as caught:
        account.fenced_save(tokens.stale, balance=1)

    assert [(2, tokens.fresh)] == rows()
    assert (tokens.stale, tokens.fresh) == (caught.value.token, caught.value.seen)


def test_without_the_fence_it_would(account, tokens):
    account.fenced_save(tokens.fresh, balance=2)
    Account.objects.filter(pk=account.pk).update(balance=1)

    assert [(1, tokens.fresh)] == rows()


def test_raising_the_fence_stops_an_older_holder_before_anything_is_written(account, tokens):
    assert 1 == raise_fence(Account.objects.filter(pk=account.pk), tokens.fresh)

    with pytest.raises(StaleToken):
        account.fenced_save(tokens.stale, balance=1)


def test_of_several_rows_all_are_written_or_none(account, tokens):
    other = Account.objects.create(owner="ann")
    other.fenced_save(tokens.fresh, balance=5)

    with pytest.raises(StaleToken):
        fenced_update(Account.objects.filter(owner="ann"), tokens.stale, balance=9)
    assert [(0, 0), (5, tokens.fresh)] == rows()

    assert 2 == fenced_update(Account.objects.filter(owner="ann"), tokens.fresh, balance=9)


def test_a_refusal_inside_a_transaction_undoes_no_more_than_its_own(account, tokens):
    with transaction.atomic():
        other = Account.objects.create(owner="bob")
        other.fenced_save(tokens.fresh, balance=1)
        with pytest.raises(StaleToken):
            other.fenced_save(tokens.stale, balance=2)

    assert [(0, 0), (1, tokens.fresh)] == rows()


def test_rows_that_match_no_more_after_the_change_are_not_mistaken_for_refused_ones(account, tokens):
    assert 1 == fenced_update(Account.objects.filter(owner="ann"), tokens.fresh, owner="bob")


def test_a_stale_writer_that_waited_for_the_fresh_one_is_refused_too(account, tokens):
    begun, refused = threading.Event(), []

    def stale():
        begun.wait()
        try:
            Account.objects.get(pk=account.pk).fenced_save(tokens.stale, balance=1)
        except StaleToken as exc:
            refused.append(exc.seen)
        finally:
            connection.close()

    thread = threading.Thread(target=stale)
    thread.start()
    with transaction.atomic():
        account.fenced_save(tokens.fresh, balance=2)
        begun.set()
        while thread.is_alive() and not waiting():
            pass
    thread.join()

    assert ([tokens.fresh], [(2, tokens.fresh)]) == (refused, rows())


def waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0]


def test_a_row_that_is_gone_is_not_written(account, tokens):
    Account.objects.all().delete()

    with pytest.raises(Account.DoesNotExist):
        account.fenced_save(tokens.fresh, balance=1)
