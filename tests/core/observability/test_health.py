import threading
import time

import pytest
from django.db import connections

from core.observability import health

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
    health._checks["database"]._thread.join(30)

    assert [(response.status_code, states(response)["database"]) for response in responses] == [(503, "unusable")] * 2
    assert threads == ["readyz-database"]   # one question, however often one asks whether it was answered
    assert seconds < 10                     # 2 s each, and slack for a busy machine
    assert client.get("/readyz").status_code == 200


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
