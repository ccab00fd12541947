"""Where nobody is at the address of a cluster, or nobody speaks: no caller waits longer than it has, and nobody knocks all the time."""

import socket
import time
import uuid

import pytest
from cassandra.cluster import NoHostAvailable

from locks import changes
from locks.answers import NotDone
from locks.errors import NoAnswer
from locks.stores.cassandra import Address, CassandraStore, connection


def create():
    return changes.Create(name="x", nonce=uuid.uuid4(), owner="test")


def test_nobody_at_the_address_is_no_answer_in_time():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = CassandraStore(Address(hosts=("127.0.0.1",), port=taken.getsockname()[1], keyspace="locks"))
        answer = store.attempt(create(), number=0, timeout_seconds=1.0)
        with pytest.raises(NoAnswer):
            store.read("x", number=0, timeout_seconds=1.0)

    assert (NotDone, "not connected") == (type(answer), answer.why.partition(":")[0])
    assert answer.why.endswith("Connection refused")


def test_who_was_refused_is_not_tried_again_at_once(monkeypatch):
    store, tries = CassandraStore(Address(hosts=("127.0.0.1",), port=1, keyspace="locks")), []

    def refused():
        tries.append(time.monotonic())
        raise NoHostAvailable("", {"a": ConnectionRefusedError(111, "Connection refused")})

    monkeypatch.setattr(store.connection, "_open", refused)
    monkeypatch.setattr(connection, "REFUSED_SECONDS", 60.0)
    answers = {store.attempt(create(), number=number, timeout_seconds=1.0).why for number in range(20)}
    again = len(tries)
    monkeypatch.setattr(connection, "REFUSED_SECONDS", 0.0)
    store.attempt(create(), number=0, timeout_seconds=1.0)

    assert ({"not connected: a: Connection refused"}, 1, 2) == (answers, again, len(tries))


def test_a_list_is_not_waited_for_longer_than_one_statement_where_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = CassandraStore(Address(hosts=("127.0.0.1",), port=silent.getsockname()[1], keyspace="locks"))
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            store.names(prefix="", after="", limit=9, timeout_seconds=0.5)
        took = time.monotonic() - began

    assert took < 4     # of sixteen statements


def test_a_silent_address_holds_a_caller_no_longer_than_it_has():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = CassandraStore(Address(hosts=("127.0.0.1",), port=silent.getsockname()[1], keyspace="locks"))
        began = time.monotonic()
        answer = store.attempt(create(), number=0, timeout_seconds=0.3)
        took = time.monotonic() - began

    assert (NotDone("still connecting"), True) == (answer, took < 2.5)
