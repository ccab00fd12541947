"""The texts of the statements: what must stand in each, whatever else is changed."""

import re
from pathlib import Path

import pytest

from locks import changes
from locks.stores.cassandra import schema, statements

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = {"state", "fence", "hb", "nonce", "owner", "lease_ms", "since_ms"}
UPDATES = {kind: text for kind, text in statements.CHANGES.items() if " IF state" in text}


def conditions(text):
    return text.partition(" IF ")[2].split(" AND ")


def test_there_is_a_statement_for_every_change():
    every = {kind for kind in vars(changes).values() if isinstance(kind, type) and issubclass(kind, changes.Change)}

    assert set(statements.CHANGES) == every - {changes.Change, changes.Grant}


@pytest.mark.parametrize("kind", UPDATES, ids=lambda kind: kind.__name__)
def test_a_refusal_shows_all_columns(kind):
    named = [condition.split()[0] for condition in conditions(UPDATES[kind])]

    assert (COLUMNS, len(COLUMNS)) == (set(named), len(named))


@pytest.mark.parametrize("kind", UPDATES, ids=lambda kind: kind.__name__)
def test_no_condition_is_true_of_a_missing_row(kind):
    assert [] != [condition for condition in conditions(UPDATES[kind]) if re.search(r" (=|<) ", condition)]


def test_a_creation_writes_every_column():
    written = set(re.findall(r"\w+", statements.CHANGES[changes.Create].partition("(")[2].partition(")")[0]))

    assert written == COLUMNS | {"ns", "name"}


def test_nothing_unconditional_writes_the_table_of_locks():
    texts = [text for text in vars(statements).values() if isinstance(text, str) and re.search(r"(INTO|UPDATE|FROM) \{keyspace\}\.locks\b", text)]

    assert [] == [text for text in texts if not text.startswith("SELECT") and " IF " not in text and not text.startswith("UPDATE") ]


def test_the_deployed_schema_is_the_one_that_the_library_applies():
    assert schema.TEXT.read_text() == (ROOT / "deploy" / "cassandra" / "schema.cql").read_text()


def test_a_keyspace_is_made_with_the_replication_that_is_given():
    first = schema.statements(keyspace="mine", replication=schema.replication({"dc1": 3, "dc2": 5}))[0]

    expected = "CREATE KEYSPACE IF NOT EXISTS mine WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 5} AND durable_writes = true"
    assert expected == first


@pytest.mark.parametrize("factors", [{"dc'1": 3}, {"dc1": 0}, 0])
def test_a_replication_that_is_none_is_refused(factors):
    with pytest.raises(ValueError, match="no replication"):
        schema.replication(factors)
