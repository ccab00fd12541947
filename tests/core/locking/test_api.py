"""/api/v1/locks: who has what, and the end of it for admins."""

from urllib.parse import quote

import pytest

from core.locking import waiting
from core.observability import health

AWAY = "postgresql://nobody@127.0.0.1:9/none"   # nothing listens there


@pytest.fixture
def address(name):
    return f"/api/v1/locks/{quote(name, safe='')}"


def test_a_lock_is_shown_with_holder_token_age_waiters_and_history(lease, address, name, viewer, monkeypatch):
    monkeypatch.setitem(waiting._lines, "three", lambda names: dict.fromkeys(names, 3))

    shown = viewer.get(address).json()

    assert {
        "name": name, "state": "held", "token": lease.token, "holder": "worker-7@there", "lease_seconds": 30.0,
        "renewals": 0, "waiters": 3, "history": [],
    } == {key: value for key, value in shown.items() if key not in {"since", "age_seconds", "free_in_seconds"}}
    assert 0 <= shown["age_seconds"] < 30
    assert 0 < shown["free_in_seconds"] <= 30
    assert shown["since"].endswith(("Z", "+00:00"))


def test_a_lock_that_nobody_has_shows_no_holder(lease, address, viewer):
    lease.release()

    shown = viewer.get(address).json()

    assert ("free", None, None, lease.token) == (shown["state"], shown["holder"], shown["age_seconds"], shown["token"])


def test_a_list_goes_on_by_names_whatever_they_hold(theirs, name, viewer):
    names = sorted(f"{name}\n{number}" for number in range(3))
    held = [theirs.acquire(each) for each in names]
    held[1].release()

    address, found = f"/api/v1/locks?limit=2&prefix={quote(name)}", []
    while address:
        answer = viewer.get(address.removeprefix("http://testserver"))
        found += [(item["name"], item["state"]) for item in answer.json()["items"]]
        address = answer.json()["next"]

    assert [(names[0], "held"), (names[1], "free"), (names[2], "held")] == found
    only = viewer.get(f"/api/v1/locks?held=true&prefix={quote(name)}").json()["items"]
    assert [names[0], names[2]] == [item["name"] for item in only]


@pytest.mark.parametrize("cursor", ["x", "WyIxIl0", "WyJcIlxcdTAwMDBcIiJd"])
def test_a_cursor_that_was_made_up_is_refused(viewer, cursor):
    assert 404 == viewer.get(f"/api/v1/locks?cursor={cursor}").status_code


def test_an_admin_ends_the_grant_that_was_seen(lease, address, admin, viewer):
    answer = admin.post(f"{address}/release", {"token": lease.token, "reason": "its machine is gone"})
    again = admin.post(f"{address}/release", {"token": lease.token, "reason": "its machine is gone"})

    assert (200, "free", lease.token + 1) == (answer.status_code, answer.json()["state"], answer.json()["token"])
    assert (409, "urn:latchwork:problem:lock-grant-over", lease.token + 1) == (
        again.status_code, again.json()["type"], again.json()["token"],
    )
    history = viewer.get(address).json()["history"]
    assert ["force.freed", "force.asked"] == [each["event"] for each in history]
    assert {("its machine is gone", lease.token)} == {(each["reason"], each["token"]) for each in history}


def test_an_operator_may_not(lease, address, operator):
    answer = operator.post(f"{address}/release", {"token": lease.token, "reason": "x"})

    assert 403 == answer.status_code
    lease.renew()


@pytest.mark.parametrize(("body", "pointer"), [
    ({"reason": "x"}, "/token"), ({"token": 0, "reason": "x"}, "/token"), ({"token": "5", "reason": "x"}, "/token"),
    ({"token": 5}, "/reason"), ({"token": 5, "reason": " "}, "/reason"), ({"token": 5, "reason": "x" * 501}, "/reason"),
    ({"token": 5, "reason": "x", "force": True}, "/force"),
])   # fmt: skip
def test_a_release_needs_the_token_that_was_seen_and_a_reason(lease, address, admin, body, pointer):
    answer = admin.post(f"{address}/release", body)

    assert (422, [pointer]) == (answer.status_code, [error["pointer"] for error in answer.json()["errors"]])
    lease.renew()


def test_what_is_not_there_is_a_404(address, viewer, admin):
    assert 404 == viewer.get(address).status_code
    assert 404 == admin.post(f"{address}/release", {"token": 5, "reason": "x"}).status_code


def test_a_store_that_is_away_is_a_503_and_makes_nobody_unready(settings, viewer, admin, address):
    settings.LOCKS_URL = AWAY

    answers = [
        viewer.get("/api/v1/locks"), viewer.get(address), admin.post(f"{address}/release", {"token": 5, "reason": "x"}),
    ]

    assert [(503, "urn:latchwork:problem:locks-away", "1")] * 3 == [
        (answer.status_code, answer.json()["type"], answer["Retry-After"]) for answer in answers
    ]
    assert all("127.0.0.1" not in answer.content.decode() for answer in answers)


@pytest.mark.django_db(transaction=True)
def test_readiness_names_the_store_and_does_not_depend_on_it(client, settings, monkeypatch):
    client.get("/readyz")   # its addresses bring the checks
    monkeypatch.setattr(health, "_checks", {"locks": health._checks["locks"]})
    there = client.get("/readyz")
    settings.LOCKS_URL = AWAY
    away = client.get("/readyz")

    assert (200, {"store": "postgresql", "status": "ok"}) == (there.status_code, there.json()["checks"]["locks"])
    assert (200, "unusable", "ready") == (away.status_code, away.json()["checks"]["locks"]["status"], away.json()["status"])


@pytest.mark.django_db(transaction=True)
def test_a_needed_dependency_would_make_it_unready(client, monkeypatch):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(health, "_checks", {})
    health.register("needed", fail)
    unready = client.get("/readyz").status_code
    health.register("needed", fail, needed=False)

    assert (503, 200) == (unready, client.get("/readyz").status_code)
