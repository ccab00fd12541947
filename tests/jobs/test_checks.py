"""Each complaint, made and not made in the same set-up."""

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace

import pydantic
import pytest
from django.core import checks
from django.db import NotSupportedError, OperationalError, connections

from apps.jobs.checks import check_broker, check_connections, check_server, check_types
from tests.support.factories import registered


def ids(found):
    return [message.id for message in found]


def test_this_house_has_no_complaint():
    ours = [message for message in checks.run_checks() if message.id.startswith("jobs.")]

    assert [] == ours


@pytest.mark.django_db
def test_the_server_is_asked_only_with_the_database_tag():
    assert [] == check_server(databases=["default"])
    assert [] == check_server(databases=None)


@pytest.mark.django_db
@pytest.mark.parametrize(("error", "expected"), [
    (NotSupportedError("PostgreSQL 14 or later is required (found 12)."), "jobs.E002"),
    (OperationalError("connection refused\nmore"), "jobs.E003"),
])   # fmt: skip
def test_a_server_that_is_too_old_or_away_is_named(error, expected, monkeypatch):
    def fails():
        raise error

    monkeypatch.setattr(connections["default"], "ensure_connection", fails)

    [complaint] = check_server(databases=["default"])
    assert expected == complaint.id
    assert "\n" not in complaint.msg


@pytest.mark.django_db
@pytest.mark.parametrize(("version", "expected"), [(139999, ["jobs.E002"]), (160009, ["jobs.W003"]), (170000, [])])
def test_what_a_server_cannot_do_yet_is_named(version, expected, monkeypatch):
    opened = SimpleNamespace(info=SimpleNamespace(server_version=version))
    database = SimpleNamespace(vendor="postgresql", ensure_connection=lambda: None, connection=opened)
    monkeypatch.setattr("apps.jobs.checks.connections", {"default": database})

    assert expected == ids(check_server(databases=["default"]))


@pytest.mark.django_db
def test_another_database_is_named(monkeypatch):
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")

    [complaint] = check_server(databases=["default"])
    assert ("jobs.E001", True) == (complaint.id, "postgresql://" in complaint.hint)


@pytest.mark.parametrize(("url", "expected"), [
    ("redis://h", []), ("sentinel://h", []), ("amqps://h", []), ("", []),
    ("sqs://h", ["jobs.E004"]), ("memory://", ["jobs.E004"]), ("h:6379", ["jobs.E004"]),
])   # fmt: skip
def test_a_broker_of_an_unknown_kind_is_refused_with_the_known(url, expected, settings):
    settings.CELERY_BROKER_URL = url

    found = check_broker()

    assert expected == ids(found)
    assert all("redis://" in message.hint for message in found)


def test_eager_tasks_are_refused(settings):
    assert [] == check_broker()
    settings.CELERY_TASK_ALWAYS_EAGER = True

    assert ["jobs.E005"] == ids(check_broker())


def test_a_pooler_and_short_lived_connections_are_warned_of(monkeypatch):
    database = connections["default"].settings_dict
    assert [] == check_connections()
    monkeypatch.setitem(database, "PORT", "6432")
    monkeypatch.setitem(database, "CONN_MAX_AGE", 0)

    assert ["jobs.W001", "jobs.W002"] == ids(check_connections())


class Describable(pydantic.BaseModel):
    at: dt.datetime


class Indescribable(pydantic.BaseModel):
    call: Callable[[], None]


def test_a_payload_without_a_schema_is_named():
    with registered("kit.plain", payload=Describable):
        assert [] == check_types()
    with registered("kit.calls", payload=Indescribable):
        [complaint] = check_types()

    assert "jobs.E006" == complaint.id
    assert "kit.calls" in complaint.msg


def test_queues_that_differ_in_case_alone_are_warned_of():
    with registered("kit.a", queue="mail"), registered("kit.b", queue="mail"):
        assert [] == check_types()
    with registered("kit.a", queue="mail"), registered("kit.b", queue="Mail"):
        assert ["jobs.W003"] == ids(check_types())
