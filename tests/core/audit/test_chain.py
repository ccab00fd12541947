import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.db.models.functions import Now

from core import audit
from core.audit import chain
from core.audit.models import AuditEntry, AuditLink

pytestmark = pytest.mark.django_db


@pytest.fixture
def entries():
    """Three entries on an empty chain, linked."""
    behind_its_back("DELETE FROM audit_link", "DELETE FROM audit_entry")
    made = [
        audit.record(action="queue.pause", target=f"queue:{name}", before={"paused": False}, after={"at": 0.1, "text": "é"})
        for name in ("a", "b", "c")
    ]
    assert chain.seal() == 3
    return [entry.pk for entry in made]


def behind_its_back(*statements):
    """Do what only the owner of the table can do."""
    with connection.cursor() as cursor:
        for table in ("audit_entry", "audit_link"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_stays")
        for statement in statements:
            cursor.execute(statement)
        for table in ("audit_entry", "audit_link"):
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_stays")


def test_a_chain_of_untouched_entries_holds(entries):
    found = chain.verify()

    assert (found.links, found.unlinked, found.late, found.broken) == (3, 0, 0, "")
    assert found.head == AuditLink.objects.get(position=3).digest


@pytest.mark.parametrize(("change", "where"), [
    ("UPDATE audit_entry SET actor = 'user:8' WHERE id = {1}", "entry {1} of link 2 was changed"),
    ("UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE id = {0}", "entry {0} of link 1 was changed"),
    ("UPDATE audit_entry SET after = after - 'text' WHERE id = {2}", "entry {2} of link 3 was changed"),
    ("UPDATE audit_entry SET address = '10.0.0.1' WHERE id = {1}", "entry {1} of link 2 was changed"),
    ("DELETE FROM audit_entry WHERE id = {1}", "entry {1} of link 2 is missing"),
    ("DELETE FROM audit_link WHERE position = 2", "link 2 is missing"),
    ("UPDATE audit_link SET digest = repeat('0', 64) WHERE position = 3", "entry {2} of link 3 was changed"),
    ("UPDATE audit_link SET entry_id = -entry_id WHERE position = 1", "is missing"),
])
def test_a_change_behind_the_triggers_back_shows(entries, change, where):
    behind_its_back(change.format(*entries))

    assert where.format(*entries) in chain.verify().broken


def test_whoever_writes_the_whole_chain_anew_is_found_by_the_head_that_was_written_down(entries):
    before = chain.verify()
    behind_its_back(f"UPDATE audit_entry SET actor = 'user:8' WHERE id = {entries[0]}", "DELETE FROM audit_link")
    chain.seal()

    alone, asked = chain.verify(), chain.verify(expected=(before.links, before.head))

    assert (alone.broken, asked.broken) == (
        "", "link 3 has not the digest that was expected: what is before it was written anew",
    )


def test_a_chain_that_was_cut_at_its_end_is_found_by_the_head_that_was_written_down(entries):
    before = chain.verify()
    behind_its_back(f"DELETE FROM audit_entry WHERE id = {entries[2]}", "DELETE FROM audit_link WHERE position = 3")

    assert (chain.verify().broken, chain.verify(expected=(before.links, before.head)).broken) == (
        "", "there is no link 3: the chain ends at 2",
    )


def test_links_are_refused_a_change_too(entries):
    for statement in ("UPDATE audit_link SET digest = ''", "DELETE FROM audit_link", "TRUNCATE audit_link"):
        with pytest.raises(ProgrammingError, match="only added to"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_entry_that_is_committed_after_a_later_one_is_linked_all_the_same(entries):
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('audit_entry', 'id'))")
        early = cursor.fetchone()[0]
        audit.record(action="a.b", target="c:d")
        chain.seal()
        cursor.execute(
            "INSERT INTO audit_entry (id, actor, action, target) OVERRIDING SYSTEM VALUE VALUES (%s, 'x', 'a.b', 'c:e')", [early],
        )

    chain.seal()

    found = chain.verify()
    assert (found.links, found.unlinked, found.broken) == (5, 0, "")
    assert AuditLink.objects.get(entry_id=early).position == 5


def test_an_old_entry_without_a_link_is_told(entries):
    AuditEntry.objects.create(actor="x", action="a.b", target="c:d", at=Now() - timedelta(hours=3))

    assert (chain.verify().unlinked, chain.verify().late) == (1, 1)


def test_linking_is_bounded_and_goes_on(entries):
    for _ in range(5):
        audit.record(action="a.b", target="c:d")

    assert [chain.seal(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert chain.verify().links == 8


@pytest.mark.django_db(transaction=True)
def test_two_who_link_at_once_make_one_chain():
    for _ in range(40):
        audit.record(action="a.b", target="c:d")

    def link(_):
        try:
            return sum(chain.seal(limit=5) for _ in range(10))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(link, range(4)))
    while chain.seal():
        pass

    found = chain.verify()
    assert (found.broken, found.unlinked) == ("", 0)
    assert found.links == AuditLink.objects.count()


def test_the_command_prints_the_head_and_exits_with_1_when_it_does_not_hold(entries):
    def typed(*words):
        out = io.StringIO()
        call_command("audit_verify", *words, stdout=out)
        return out.getvalue()

    audit.record(action="a.b", target="c:d")
    printed = typed()
    head = printed.split()[-1]
    held = json.loads(typed("--json", "--expect", head))
    behind_its_back(f"UPDATE audit_entry SET role = 'viewer' WHERE id = {entries[1]}")

    assert printed.startswith("4 links hold, 0 entries wait for theirs\nhead 4:")
    assert (held["links"], held["broken"]) == (4, "")
    with pytest.raises(CommandError, match=f"entry {entries[1]} of link 2 was changed"):
        typed()


@pytest.mark.parametrize("text", ["3", "3:xyz", "x:" + "0" * 64])
def test_the_command_refuses_what_is_no_head(text):
    with pytest.raises(CommandError, match="is no head"):
        call_command("audit_verify", "--expect", text)
