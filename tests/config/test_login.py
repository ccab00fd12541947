import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from config import login
from core.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-enough-one"


@pytest.fixture
def ann(settings):
    """A user who may enter, a client who may try three times a minute, and an account that five may try in an hour."""
    settings.LOGIN_RATE_LIMIT, settings.LOGIN_RATE_LIMIT_ACCOUNT = "3/minute", "5/hour"
    login.tries.cache_clear()
    login.tries(settings.CACHE_URL, "3/minute").shared.limiter.storage.reset()
    yield User.objects.create_user("ann", password=PASSWORD, is_staff=True)
    login.tries.cache_clear()


def enter(password, *, name="ann", address="203.0.113.9", **headers):
    return Client().post("/admin/login/?next=/admin/", {"username": name, "password": password}, REMOTE_ADDR=address, **headers)


def test_a_client_that_guesses_is_told_when_to_come_back_even_with_the_right_password(ann):
    guessed = [enter("wrong").status_code for _ in range(3)]
    response = enter(PASSWORD)

    assert (guessed, response.status_code) == ([200, 200, 200], 429)
    assert 1 <= int(response["Retry-After"]) <= 60
    assert "too many tries to log in" in response.content.decode().lower()
    assert enter(PASSWORD, address="203.0.113.10").status_code == 302


def test_a_false_forwarding_header_buys_no_further_guess(ann):
    statuses = [enter("wrong", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code for number in range(4)]

    assert statuses == [200, 200, 200, 429]


@pytest.mark.parametrize("names", [["ann"] * 6, ["ann", "ANN", " ann", "\uff41nn", "ann", "Ann"]])
def test_an_account_is_guessed_so_often_from_wherever(ann, names):
    statuses = [enter("wrong", name=name, address=f"203.0.113.{number}").status_code for number, name in enumerate(names)]

    assert statuses == [200, 200, 200, 200, 200, 429]
    assert enter("wrong", name="bob", address="203.0.113.77").status_code == 200


def test_the_right_password_forgets_the_wrong_ones_of_the_account(ann):
    for number in range(4):
        enter("wrong", address=f"203.0.113.{number}")
    entered = enter(PASSWORD, address="203.0.113.20")

    statuses = [enter("wrong", address=f"203.0.113.{30 + number}").status_code for number in range(6)]

    assert (entered.status_code, statuses) == (302, [200, 200, 200, 200, 200, 429])


def test_the_cookie_of_a_session_is_seen_by_no_script_and_sent_by_no_other_site(ann):
    client = Client()
    client.get("/admin/login/")
    client.post("/admin/login/?next=/admin/", {"username": "ann", "password": PASSWORD})

    cookies = {name: (bool(cookie["httponly"]), cookie["samesite"]) for name, cookie in client.cookies.items()}
    assert {"sessionid": (True, "Lax"), "csrftoken": (False, "Lax")} == cookies   # whose scripts of ours send it in a header


@pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""])
def test_a_log_in_never_leads_off_the_site_but_to_the_index(ann, wanted):
    client = Client()
    response = client.post(f"/admin/login/?{urlencode({'next': wanted})}", {"username": "ann", "password": PASSWORD}, follow=True)

    assert ([("/admin/", 302)], 200) == (response.redirect_chain, response.status_code)


def test_a_log_in_leads_to_where_it_was_asked_for(ann):
    response = Client().post("/admin/login/?next=/mails", {"username": "ann", "password": PASSWORD})

    assert (302, "/mails") == (response.status_code, response["Location"])


def test_a_log_in_is_audited_and_a_wrong_one_is_not(ann):
    enter("wrong")
    enter(PASSWORD)

    [entry] = AuditEntry.objects.filter(action="user.log_in")
    assert (entry.actor, entry.target, entry.address) == (f"user:{ann.pk}", f"user:{ann.pk}", "203.0.113.9")


def test_without_the_csrf_token_nothing_is_counted(ann):
    client = Client(enforce_csrf_checks=True)
    refused = [
        client.post("/admin/login/", {"username": "ann", "password": "x"}, REMOTE_ADDR="203.0.113.9").status_code
        for _ in range(5)
    ]
    page = client.get("/admin/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]

    given = client.post(
        "/admin/login/?next=/admin/", {"username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": token},
        REMOTE_ADDR="203.0.113.9",
    )

    assert (refused, given.status_code) == ([403] * 5, 302)


def test_a_dead_store_neither_locks_the_door_nor_leaves_it_open(ann, valkey):
    valkey.kill()

    assert [enter("wrong").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert enter(PASSWORD, address="203.0.113.10").status_code == 302


def test_exactly_the_limit_passes_under_concurrency(ann, settings):
    of_client = login.tries(settings.CACHE_URL, "3/minute")

    with ThreadPoolExecutor(20) as pool:
        waits = list(pool.map(lambda _: of_client.take("login:everybody"), range(60)))

    assert (waits.count(0), len(waits)) == (3, 60)


def test_to_look_at_the_form_counts_nothing(ann):
    assert {Client().get("/admin/login/", REMOTE_ADDR="203.0.113.9").status_code for _ in range(6)} == {200}
