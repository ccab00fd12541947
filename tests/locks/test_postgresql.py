"""The contract on a real server, and what becomes of an attempt when it is hurt."""

import os
import re
import signal
import socket
import threading
import time
import uuid

import psycopg
import pytest

from locks.answers import Applied, NotDone, Unknown
from locks.changes import Create
from locks.errors import NoAnswer
from locks.locks import Locks
from locks.stores.postgresql import PostgresqlStore, create_schema, statements
from locks.testing.contract import NONCES, StoreContract, acquiring, settled, together
from locks.testing.contract_locks import LocksContract
from tests.locks import databases
from tests.support.waiting import until


class TestPostgresql(StoreContract, LocksContract):
    @pytest.fixture
    def make_store(self, locks_database):
        return lambda namespace: PostgresqlStore(locks_database, namespace=namespace)


@pytest.fixture
def store(locks_database):
    """A store with one connection, so that a test knows which, and one used, free lock `a`."""
    store = PostgresqlStore(locks_database, namespace=uuid.uuid4().hex, connections=1)
    Locks(store, background=False).acquire("a").release()
    yield store
    store.close()


@pytest.fixture
def admin(locks_database):
    with psycopg.connect(locks_database, autocommit=True) as connection:
        yield connection


def backend(admin):
    """The server's process of the store's one connection."""
    return admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'latchwork locks' ORDER BY backend_start DESC",
    ).fetchone()[0]


def fence(store):
    return store.read("a", number=0, timeout_seconds=5).fence


def attempt(store, change, *, seconds=0.5):
    return store.attempt(change, number=0, timeout_seconds=seconds)


def test_a_connection_that_the_server_ended_is_an_unknown_outcome_and_the_next_attempt_has_another(store, admin):
    admin.execute("SELECT pg_terminate_backend(%s)", [backend(admin)])
    until(lambda: not admin.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'latchwork locks'").fetchone())
    change = acquiring("a", 2**62)

    assert isinstance(attempt(store, change), Unknown)
    assert Applied() == settled(store, change)


def test_an_attempt_that_waits_for_a_row_too_long_is_unknown_and_its_late_success_is_recognised(store, locks_database):
    change = acquiring("a", 2**62, NONCES[1])
    with psycopg.connect(locks_database) as other:
        other.execute("SELECT 1 FROM locks.lock WHERE namespace = %s FOR UPDATE", [store.namespace])
        begun = time.monotonic()
        assert isinstance(attempt(store, change, seconds=0.3), Unknown)
        assert time.monotonic() - begun < 3

    until(lambda: fence(store) == 2**62)    # the copy that nobody waited for
    answer = settled(store, change)
    assert NONCES[1] == answer.row.nonce


def test_a_server_process_that_stands_still_costs_the_attempt_its_time_and_no_more(store, admin):
    pid = backend(admin)
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answer = attempt(store, acquiring("a", 2**62), seconds=0.3)
        took = time.monotonic() - begun
    finally:
        os.kill(pid, signal.SIGCONT)

    assert isinstance(answer, Unknown)
    assert took < 3


def test_a_plain_connection_would_wait_for_as_long_as_the_server_stands_still(locks_database):
    with psycopg.connect(locks_database, autocommit=True) as plain:
        pid = plain.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        thread = threading.Thread(target=plain.execute, args=("SELECT 1",))
        thread.start()
        try:
            thread.join(1.0)
            assert thread.is_alive()
        finally:
            os.kill(pid, signal.SIGCONT)
            thread.join()


def test_a_server_that_nobody_can_reach_was_certainly_not_asked():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = PostgresqlStore(f"postgresql://nobody@127.0.0.1:{unused.getsockname()[1]}/none")

        assert isinstance(attempt(store, acquiring("a", 1)), NotDone)
        with pytest.raises(NoAnswer):
            store.read("a", number=0, timeout_seconds=0.3)


def test_a_server_that_accepts_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresqlStore(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        begun = time.monotonic()

        assert isinstance(attempt(store, acquiring("a", 1), seconds=0.3), NotDone)
        assert time.monotonic() - begun < 10


def test_without_a_free_connection_nothing_is_sent(store, locks_database):
    with psycopg.connect(locks_database) as other:
        other.execute("SELECT 1 FROM locks.lock WHERE namespace = %s FOR UPDATE", [store.namespace])
        waiting = threading.Thread(target=attempt, args=(store, acquiring("a", 2**62)), kwargs={"seconds": 5})
        waiting.start()
        until(lambda: other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())

        assert isinstance(attempt(store, acquiring("a", 2**62), seconds=0.2), NotDone)
    waiting.join()


def test_a_database_without_the_tables_is_a_fault_of_ours_and_not_an_outage():
    store = PostgresqlStore(os.environ["DATABASE_URL"], namespace="x")

    with pytest.raises(psycopg.errors.UndefinedTable):
        attempt(store, acquiring("a", 1))
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.read("a", number=0, timeout_seconds=1)
    store.close()


def test_the_tables_are_made_by_many_at_once_and_again():
    with databases.fresh() as url:
        together(4, lambda _: create_schema(url))

        store = PostgresqlStore(url)
        assert Applied() == settled(store, Create(name="a", nonce=NONCES[0], owner="me"))
        store.close()


def test_a_commit_is_on_disk_whatever_the_database_prefers(locks_database, admin):
    name = admin.execute("SELECT current_database()").fetchone()[0]
    admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        store = PostgresqlStore(locks_database)
        with store._connections.one(seconds=5) as connection:
            shown = connection.execute("SHOW synchronous_commit").fetchone()
        store.close()
    finally:
        admin.execute(f"ALTER DATABASE {name} RESET synchronous_commit")

    assert ("on",) == shown


def test_no_statement_asks_the_server_for_the_time():
    texts = [*statements.CHANGES.values(), statements.READ, statements.FLOOR, statements.NAMES]

    assert [] == [text for text in texts if re.search(r"now\(|timestamp|interval|clock|current_", text, re.IGNORECASE)]


def test_the_rows_say_what_they_may_not_be(admin):
    with pytest.raises(psycopg.errors.CheckViolation):
        admin.execute("INSERT INTO locks.lock VALUES ('n', 'a', 9, 1, 0, gen_random_uuid(), 'o', 0, 0)")
