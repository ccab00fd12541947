"""A node of Cassandra as the development server runs it, and what is said where it cannot."""

import itertools
import uuid

import pytest

from core.devserver import ports
from core.devserver.cassandra import programs as finding
from core.devserver.cassandra.archive import archive
from core.devserver.cassandra.node import Cassandra, Place
from core.devserver.cassandra.programs import Missing
from locks.answers import Applied, NotDone, Unknown
from locks.changes import Create
from locks.errors import NoAnswer
from locks.stores.cassandra import Address, CassandraStore, schema
from tests.support.cassandra.fixtures import found
from tests.support.waiting import until


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(finding, "JDKS", tmp_path)
    return tmp_path


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_without_java_it_is_said_what_to_install(nowhere):
    with pytest.raises(Missing, match=r"Java 17.*apt install openjdk-17"):
        finding.programs()


def test_another_java_is_not_taken(nowhere):
    program(nowhere / "java", """echo 'openjdk version "25.0.1"' >&2""")
    with pytest.raises(Missing, match="Java 17"):
        finding.find_java()


def test_a_java_below_the_systems_folder_is_found_beside_a_newer_one_on_the_path(nowhere):
    program(nowhere / "java", """echo 'openjdk version "25.0.1"' >&2""")
    right = program(nowhere / "jdk-17" / "bin" / "java", """echo 'openjdk version "17.0.15"' >&2""")

    assert right == finding.find_java()


def test_without_maven_it_is_said_what_to_install(nowhere):
    program(nowhere / "java", """echo 'openjdk version "17.0.15"' >&2""")
    with pytest.raises(Missing, match=r"Maven.*apt install"):
        finding.programs()


def test_what_maven_says_when_it_fails_is_passed_on_and_nothing_is_kept(nowhere):
    program(nowhere / "java", """echo 'openjdk version "17.0.15"' >&2""")
    program(nowhere / "mvn", "echo 'no route to the repository'; exit 1")
    with pytest.raises(Missing, match="no route to the repository"):
        finding.programs()

    assert [] == list((nowhere / "cache").rglob("lib"))


def test_shares_of_the_ring_are_equal():
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
    tokens = [Place(host=host, hosts=hosts).token for host in hosts]

    assert [2**62] * 3 == [after - before for before, after in itertools.pairwise(tokens)]


@pytest.mark.timeout(420)
def test_what_was_answered_is_there_after_a_kill_and_a_new_start_on_the_same_port(tmp_path):
    programs = found()
    archive(programs)
    node = Cassandra(data_dir=tmp_path, programs=programs)
    try:
        node.start()
        before, change = node.port, Create(name="x", nonce=uuid.uuid4(), owner="test")
        schema.apply(address_of(node), factors=1)
        made = asked(node, lambda store: store.attempt(change, number=0, timeout_seconds=10))
        node.kill()
        node.start()
        kept = asked(node, lambda store: store.read("x", number=0, timeout_seconds=10))

        assert (Applied(), change.nonce, before) == (made, kept.nonce, node.port)
        assert (before, f"127.0.0.1:{before}") == (ports.noted(tmp_path, "cassandra"), node.contact_point)
    finally:
        node.kill()


def address_of(node):
    return Address(hosts=(node.host,), port=node.port, keyspace="kept")


def asked(node, ask):
    store = CassandraStore(address_of(node))
    try:
        return until(lambda: answered(store, ask), timeout=30, message="the node never answered")
    finally:
        store.close()


def answered(store, ask):
    try:
        answer = ask(store)
    except NoAnswer:
        return None
    return None if isinstance(answer, NotDone | Unknown) else answer
