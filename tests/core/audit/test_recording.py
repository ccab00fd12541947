from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from core import audit
from core.audit.models import AuditEntry
from core.audit.recording import changed

ANN = audit.Actor(key="user:7", name="ann", role="operator", channel="admin", address="203.0.113.9")


@pytest.mark.django_db
def test_an_entry_holds_who_did_what_to_what_and_how_it_was_before():
    made = audit.record(
        action="queue.pause", target="queue:mail", before={"paused": False}, after={"paused": True}, actor=ANN,
    )

    stored = AuditEntry.objects.get(pk=made.pk)
    assert (stored.actor, stored.actor_name, stored.role, stored.channel, stored.address) == (
        "user:7", "ann", "operator", "admin", "203.0.113.9",
    )
    assert (stored.action, stored.target, stored.before, stored.after) == (
        "queue.pause", "queue:mail", {"paused": False}, {"paused": True},
    )
    assert stored.at.tzinfo is not None


@pytest.mark.django_db
def test_what_happens_inside_is_the_actors_and_outside_nobodys():
    with audit.acting(ANN), audit.acting(lambda: audit.Actor(key="user:8")):
        inner = audit.record(action="a.b", target="c:d")
    outer = audit.record(action="a.b", target="c:d")

    assert (inner.actor, outer.actor) == ("user:8", "system")


@pytest.mark.django_db
@pytest.mark.parametrize("statement", [
    "UPDATE audit_entry SET actor = 'somebody else'",
    "UPDATE audit_entry SET actor = '' WHERE false",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "TRUNCATE audit_entry CASCADE",
    ("INSERT INTO audit_entry (id, actor, action, target) OVERRIDING SYSTEM VALUE VALUES (%(id)s, '', '', '') "
     "ON CONFLICT (id) DO UPDATE SET actor = ''"),
    "MERGE INTO audit_entry USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM audit_entry RETURNING id) SELECT * FROM gone",
])
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_the_database_refuses_to_change_or_remove_an_entry(statement, role):
    made = audit.record(action="a.b", target="c:d", actor=ANN)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('session_replication_role', %s, true)", [role])
        with pytest.raises(ProgrammingError, match="the audit is only added to"), transaction.atomic():
            cursor.execute(statement.replace("%(id)s", str(made.pk)))

    assert AuditEntry.objects.filter(pk=made.pk, actor="user:7").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"])
def test_without_the_trigger_it_would_change(statement):
    audit.record(action="a.b", target="c:d", actor=ANN)

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_stays")
        cursor.execute(statement)

    assert not AuditEntry.objects.filter(actor="user:7").exists()


@pytest.mark.django_db(transaction=True)
def test_a_flush_passes_the_audit_by():
    made = audit.record(action="a.b", target="c:flush", actor=ANN)

    call_command("flush", interactive=False, verbosity=0)

    assert AuditEntry.objects.get(pk=made.pk).target == "c:flush"


@pytest.mark.django_db(transaction=True)
def test_an_entry_of_work_that_was_taken_back_does_not_exist():
    with transaction.atomic():
        made = audit.record(action="a.b", target="c:d", actor=ANN)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.filter(pk=made.pk).exists()


@pytest.mark.django_db
def test_facts_are_stored_as_json_without_secrets_and_without_what_cannot_be_stored():
    moment, one = datetime(2030, 1, 31, 9, tzinfo=UTC), UUID(int=1)
    made = audit.record(action="a.b", target="c:\0", actor=ANN, after={
        "at": moment, "id": one, "password": "swordfish", "new_token": 1, "token": "lw_1", "text": "a\0b\ud800",
        "long": "x" * 3000, "unique_key": "invoice:7", "more": {"list": ["\0"]},
    })

    stored = AuditEntry.objects.get(pk=made.pk)
    assert stored.target == "c:\\0"
    assert stored.after == {
        "at": "2030-01-31T09:00:00Z", "id": str(one), "password": "(hidden)", "new_token": 1, "token": "(hidden)",
        "text": "a\\0b\\ud800", "long": "x" * 2000 + "… (3000 characters)", "unique_key": "invoice:7", "more": {"list": ["\\0"]},
    }


def test_only_what_differs_is_told():
    assert changed({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3}) == ({"b": 2, "c": 3}, {"b": 3, "c": None})


def test_whoever_sits_at_the_terminal_has_a_name(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found")))

    assert audit.at_terminal().key == "terminal:somebody"


@pytest.mark.django_db
def test_a_reason_that_somebody_gave_is_told_with_whatever_happens_because_of_it():
    with audit.because("by order"):
        inside = audit.record(action="queue.pause", target="queue:mail", after={"paused": True})
    outside = audit.record(action="queue.resume", target="queue:mail", after={"paused": False})

    assert [inside.after, outside.after] == [{"reason": "by order", "paused": True}, {"paused": False}]
