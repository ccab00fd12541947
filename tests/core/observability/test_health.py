import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.db import connections
from django.test import Client

from core.observability import health
from tests.support.factories import clean_connection
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def checks(monkeypatch):
    """No dependency but those that a test adds."""
    empty: dict = {}
    monkeypatch.setattr(health, "_checks", empty)
    return empty


def states(response) -> dict[str, str]:
    return {name: check["status"] for name, check in response.json()["checks"].items()}


def test_a_whole_house_is_ready(client):
    response = client.get("/readyz")

    assert response.status_code == 200
    assert states(response) == {"database": "ok", "broker": "ok", "cache": "ok", "migrations": "ok", "locks": "ok"}


def test_alive_asks_nobody(client, django_assert_num_queries, valkey):
    valkey.stall()

    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("fault", ["kill", "stall"])
def test_a_store_that_is_away_is_named(client, valkey, fault):
    getattr(valkey, fault)()

    response = client.get("/readyz")

    assert response.status_code == 503
    assert states(response) == {"database": "ok", "broker": "unusable", "cache": "unusable", "migrations": "ok", "locks": "ok"}


def test_a_database_that_is_frozen_is_named_in_time_and_then_found_again(client, postgres):
    connections.close_all()
    postgres.stall()
    start = time.monotonic()

    responses = [client.get("/readyz") for _ in range(2)]
    seconds = time.monotonic() - start
    threads = [thread.name for thread in threading.enumerate() if thread.name == "readyz-database"]
    postgres.resume()
    health._checks["database"]._open.thread.join(30)

    assert [(response.status_code, states(response)["database"]) for response in responses] == [(503, "unusable")] * 2
    assert threads == ["readyz-database"]   # one question, however often one asks whether it was answered
    assert seconds < 10                     # 2 s each, and slack for a busy machine
    assert client.get("/readyz").status_code == 200


def ask_readyz() -> int:
    try:
        return Client().get("/readyz").status_code
    finally:
        clean_connection()


@pytest.mark.parametrize("stage", ["not started yet", "not answered yet"])
def test_who_asked_first_gets_its_answer_while_the_next_question_is(checks, monkeypatch, stage):
    """The first asker waits for `slow`, while `store` has answered it long since and is asked again by somebody else."""
    monkeypatch.setattr(health, "SECONDS", 10.0)
    answered, again, go = threading.Event(), threading.Event(), threading.Event()
    asked = []

    def reach(moment):
        if len(asked) > 1 and moment == stage:
            again.set()
            go.wait(60)

    class Thread(threading.Thread):
        def start(self):
            if self.name == "readyz-store":
                asked.append(self)
                reach("not started yet")
            super().start()

    monkeypatch.setattr(health, "threading", SimpleNamespace(Thread=Thread))
    health.register("slow", lambda: answered.wait(60))
    health.register("store", lambda: reach("not answered yet"))
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(ask_readyz)
            until(lambda: asked and asked[0].ident and not asked[0].is_alive())
            second = pool.submit(ask_readyz)
            assert again.wait(30)
            answered.set()
            status = first.result(60)
        finally:
            answered.set()
            go.set()

        assert [200, 200] == [status, second.result(60)]


def test_many_at_once_ask_one_question_and_all_hear_the_answer(checks):
    asking, most, lock = [], [], threading.Lock()

    def ask():
        with lock:
            asking.append(1)
            most.append(len(asking))
        connections["default"].ensure_connection()
        with lock:
            asking.pop()

    health.register("store", ask)
    together = threading.Barrier(8)

    def several():
        together.wait(60)
        return [ask_readyz() for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        answers = [each.result(120) for each in [pool.submit(several) for _ in range(8)]]

    assert [[200] * 20] * 8 == answers
    assert {1} == set(most)


def test_why_is_for_the_log_alone(client, checks, caplog):
    def fail():
        raise RuntimeError("postgresql://user:swordfish@host")

    health.register("vault", fail)

    response = client.get("/readyz")

    assert response.json() == {"status": "unready", "checks": {"vault": {"status": "unusable", "detail": "not usable"}}}
    assert "swordfish" in caplog.text


def test_missing_migrations_are_told_until_they_are_applied(client, checks, monkeypatch):
    missing = [("core", "0002")]
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: list(missing))
    health.register("migrations", health._Migrations())

    before = client.get("/readyz")
    missing.clear()
    after = client.get("/readyz")

    assert [before.status_code, after.status_code] == [503, 200]
    assert before.json()["checks"]["migrations"]["detail"] == "1 migrations are not applied: run manage.py migrate"
