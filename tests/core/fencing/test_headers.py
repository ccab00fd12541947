import pytest
import requests
from django.db import connection, transaction

from core.fencing import StaleToken
from core.fencing.headers import fence_headers, idempotency_key, read_headers
from core.fencing.resources import admit
from tests.support.http_server import server

__all__ = ["server"]


def test_a_grant_has_one_key_for_each_step(tokens):
    one = idempotency_key("payment:7", tokens.fresh, "charge")

    assert one == idempotency_key("payment:7", tokens.fresh, "charge")
    others = {
        idempotency_key("payment:7", tokens.stale, "charge"), idempotency_key("payment:7", tokens.fresh, "refund"),
        idempotency_key("payment:8", tokens.fresh, "charge"), idempotency_key("payment:7", tokens.fresh, "charge", namespace="b"),
    }
    assert 4 == len(others - {one})


@pytest.mark.parametrize("name", ["a/b", "a b\r\nX: y", "日本🔒", "x" * 500])
def test_a_key_is_fit_for_a_header_whatever_the_name(name):
    key = idempotency_key(name, 2**63 - 1, name)

    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert len(key) <= 200


def test_names_with_slashes_do_not_meet():
    assert idempotency_key("a/b", 1, "c") != idempotency_key("a", 1, "b/c")


def test_what_is_sent_is_what_is_read():
    assert ("default/pay ment:é", 7) == read_headers({k.lower(): v for k, v in fence_headers("pay ment:é", 7, "x").items()})

    with pytest.raises(ValueError, match="fence-resource"):
        read_headers({})


@pytest.mark.django_db(transaction=True)
def test_a_service_that_compares_refuses_a_stale_caller(server, tokens, django_db_blocker):
    done = []

    def charge(request):
        resource, token = read_headers(request.headers)
        try:
            with django_db_blocker.unblock(), transaction.atomic():
                admit(resource, token)
                done.append(token)
        except StaleToken:
            return request.say(412)
        finally:
            with django_db_blocker.unblock():
                connection.close()    # it is this thread's own
        return request.say(200)

    url = server.on("/charge", charge)
    answers = [
        requests.post(url, headers=fence_headers("payment:7", token, "charge"), timeout=10).status_code
        for token in (tokens.stale, tokens.fresh, tokens.stale)
    ]

    assert ([200, 200, 412], [tokens.stale, tokens.fresh]) == (answers, done)
