"""The store on three real nodes: what the contract does not ask of every store."""

import gc
import multiprocessing
import os
import signal
import time
import uuid
from dataclasses import replace

import pytest
from cassandra import OperationTimedOut
from cassandra.cluster import NoHostAvailable

from locks import changes
from locks.answers import Applied, NotDone, Refused, Unknown
from locks.errors import NoAnswer
from locks.row import State
from locks.stores.cassandra import CassandraStore
from locks.stores.cassandra.store import MixedLevels
from tests.support.waiting import until

SECONDS = 5.0


@pytest.fixture
def store(ring):
    made = CassandraStore(ring.direct, namespace=f"store-{uuid.uuid4().hex}")
    yield made
    made.close()


def create(name="x"):
    return changes.Create(name=name, nonce=uuid.uuid4(), owner="test")


def acquire(name="x", *, fence=7):
    return changes.Acquire(name=name, fence=fence, nonce=uuid.uuid4(), owner="test", lease_ms=6000, since_ms=1)


def exactly(seen, name="x", *, fence=7):
    cold = acquire(name, fence=fence)
    return changes.AcquireExact(**{each: getattr(cold, each) for each in cold.__dataclass_fields__}, seen=seen)


def granted(store, name="x", *, fence=7):
    """Make a lock and grant it, through the statements of a real acquire."""
    assert Applied() == store.attempt(create(name), number=0, timeout_seconds=SECONDS)
    change = exactly(store.read(name, number=0, timeout_seconds=SECONDS).version, name, fence=fence)
    assert Applied() == store.attempt(change, number=0, timeout_seconds=SECONDS)
    return change


def first_node(ring, store, name="x"):
    return ring.in_order(store, name)[0]


def test_a_condition_on_a_missing_row_makes_no_ghost_of_one(store):
    version = (State.FREE, 0, 0, uuid.uuid4())
    nonce = uuid.uuid4()
    conditional = [
        acquire(), changes.Renew(name="x", fence=1, nonce=nonce, hb=0), changes.Release(name="x", fence=1, nonce=nonce),
        changes.ForceRelease(name="x", fence=1, nonce=nonce, owner="o"), changes.Retire(name="x", seen=version),
        changes.Bury(name="x", seen=version), changes.Reap(name="x", seen=version),
    ]
    answers = [store.attempt(change, number=0, timeout_seconds=SECONDS) for change in conditional]

    assert ([Refused(None)] * len(conditional), None) == (answers, store.read("x", number=0, timeout_seconds=SECONDS))


def test_a_condition_of_inequalities_alone_would_make_one(ring):
    with ring.ring.pinned() as (session, *_):
        made = session.execute(f"UPDATE locks.locks SET hb = 1 WHERE ns = 'ghosts' AND name = '{uuid.uuid4()}' IF state != 5").one()

    assert made.applied


def test_every_client_asks_the_same_node_first(ring, store):
    other = CassandraStore(ring.direct, namespace=store.namespace)
    names = [f"lock-{number}" for number in range(20)]
    try:
        chosen = [(first_node(ring, store, name), first_node(ring, other, name)) for name in names]
    finally:
        other.close()

    assert (True, True) == (all(ours is theirs for ours, theirs in chosen), len({ours.host for ours, _ in chosen}) > 1)


def test_a_frozen_first_node_costs_one_attempt(ring, store):
    change = granted(store)
    renewal = changes.Renew(name="x", fence=change.fence, nonce=change.nonce, hb=0)
    first_node(ring, store).stall()
    answers = [store.attempt(renewal, number=number, timeout_seconds=seconds) for number, seconds in ((0, 0.5), (1, SECONDS))]

    assert [Unknown, Applied] == [type(answer) for answer in answers]


def test_a_killed_node_costs_nothing_once_the_driver_has_seen_it(ring, store):
    change = granted(store)
    victim = first_node(ring, store)
    victim.kill()
    until(lambda: first_node(ring, store) is not victim, message="the driver never saw that the node is down")
    answer = store.attempt(changes.Renew(name="x", fence=change.fence, nonce=change.nonce, hb=0), number=0, timeout_seconds=SECONDS)

    assert Applied() == answer


def test_without_a_quorum_nothing_is_decided(ring, store):
    granted(store)
    for node in ring.nodes[:2]:
        node.stall()
    answer = store.attempt(acquire(fence=8), number=0, timeout_seconds=1.0)
    with pytest.raises(NoAnswer):
        store.read("x", number=0, timeout_seconds=1.0)

    assert isinstance(answer, (Unknown, NotDone))


def test_a_lost_reply_is_unknown_and_its_repetition_tells(ring):
    store = CassandraStore(ring.proxied, namespace=f"lost-{uuid.uuid4().hex}")
    try:
        granted(store, "warm")
        change = create()
        for fault in ring.faults:
            fault.lose_replies(1.0)
        lost = store.attempt(change, number=0, timeout_seconds=0.5)
        for fault in ring.faults:
            fault.heal()
        again = store.attempt(change, number=1, timeout_seconds=SECONDS)

        assert (Unknown, change.nonce) == (type(lost), again.row.nonce)
    finally:
        store.close()


def test_a_session_that_nobody_has_any_more_is_ended(ring):
    store = CassandraStore(ring.direct, namespace=f"gone-{uuid.uuid4().hex}")
    granted(store)
    driver = store.connection._made.session.cluster
    before = driver.is_shutdown
    del store
    gc.collect()
    until(lambda: driver.is_shutdown, message="the driver keeps it")

    assert not before


def test_an_attempt_without_time_is_not_made(store):
    assert NotDone("no time left") == store.attempt(create(), number=0, timeout_seconds=0.0)


def test_an_answer_is_not_waited_for_longer_when_the_wall_clock_is_set_back(ring, monkeypatch):
    store = CassandraStore(ring.proxied, namespace=f"clock-{uuid.uuid4().hex}")
    try:
        granted(store)
        for fault in ring.faults:
            fault.hold_replies()
        real, began = time.time, time.monotonic()
        pending = store.connection.begin("read", {"ns": store.namespace, "name": "x"}, number=0, timeout_seconds=0.5)
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        with pytest.raises(OperationTimedOut):
            pending.rows()

        assert time.monotonic() - began < 3
    finally:
        monkeypatch.undo()
        ring.heal()
        store.close()


def without_list(monkeypatch, store):
    """Have nothing written into the list of names."""
    begin = store.connection.begin

    def lossy(key, values, **options):
        if key == "list":
            raise NoHostAvailable("", {})
        return begin(key, values, **options)

    monkeypatch.setattr(store.connection, "begin", lossy)


def test_no_lock_is_granted_before_its_name_is_written(store, monkeypatch):
    without_list(monkeypatch, store)
    made = store.attempt(create(), number=0, timeout_seconds=SECONDS)
    change = exactly(store.read("x", number=0, timeout_seconds=SECONDS).version)
    refused = store.attempt(change, number=0, timeout_seconds=SECONDS)
    row, unlisted = store.read("x", number=0, timeout_seconds=SECONDS), store.names(prefix="", after="", limit=9, timeout_seconds=SECONDS)
    monkeypatch.undo()
    grant = store.attempt(change, number=1, timeout_seconds=SECONDS)

    assert (Applied(), NotDone("not listed yet"), State.NEW, []) == (made, refused, row.state, unlisted)
    assert (Applied(), ["x"]) == (grant, store.names(prefix="", after="", limit=9, timeout_seconds=SECONDS))


def test_whoever_is_granted_what_another_made_writes_its_name(ring, store, monkeypatch):
    without_list(monkeypatch, store)
    store.attempt(create(), number=0, timeout_seconds=SECONDS)
    other = CassandraStore(ring.direct, namespace=store.namespace)
    try:
        change = exactly(other.read("x", number=0, timeout_seconds=SECONDS).version)
        grant = other.attempt(change, number=0, timeout_seconds=SECONDS)

        assert (Applied(), ["x"]) == (grant, other.names(prefix="", after="", limit=9, timeout_seconds=SECONDS))
    finally:
        other.close()


def in_child(store, out):
    out.put(type(store.attempt(create("of a child"), number=0, timeout_seconds=SECONDS)).__name__)


def test_a_forked_child_makes_its_own_connection(store):
    granted(store)
    fork = multiprocessing.get_context("fork")
    out = fork.Queue()
    child = fork.Process(target=in_child, args=(store, out))
    child.start()
    said = out.get(timeout=20)
    child.join(20)
    after = store.attempt(create("of the parent"), number=0, timeout_seconds=SECONDS)

    assert ("Applied", 0, Applied()) == (said, child.exitcode, after)


def hangs_in_child(store):
    store.connection.forget = lambda: None
    child = os.fork()
    if child == 0:
        session = store.connection._made.session
        session.execute("SELECT release_version FROM system.local", timeout=1.0)
        os._exit(0)
    ended = False
    end = time.monotonic() + 5
    while not ended and time.monotonic() < end:
        ended = os.waitpid(child, os.WNOHANG)[0] == child
        time.sleep(0.05)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return not ended


def test_an_inherited_session_would_hang_beyond_its_own_timeout(store):
    granted(store)

    assert hangs_in_child(store)


def test_a_namespace_of_the_other_level_is_refused(ring, store):
    granted(store)
    local = CassandraStore(replace(ring.direct, local=True), namespace=store.namespace)
    try:
        with pytest.raises(MixedLevels, match="level=global"):
            local.attempt(acquire(fence=8), number=0, timeout_seconds=SECONDS)
        with pytest.raises(MixedLevels):
            local.read("x", number=0, timeout_seconds=SECONDS)
    finally:
        local.close()


def test_a_namespace_may_be_local(ring):
    local = CassandraStore(replace(ring.direct, local=True), namespace=f"local-{uuid.uuid4().hex}")
    try:
        granted(local)

        assert State.HELD == local.read("x", number=0, timeout_seconds=SECONDS).state
    finally:
        local.close()


def test_a_name_is_listed_again_when_its_lock_is_made_anew_by_a_slow_clock(store):
    future = int((time.time() + 3600) * 1_000_000)
    granted(store, fence=future)
    row = store.read("x", number=0, timeout_seconds=SECONDS)
    mine = {"name": "x", "fence": row.fence, "nonce": row.nonce}
    steps = [changes.Release(**mine), changes.RaiseFloor(name="x", fence=future)]
    answers = [store.attempt(change, number=0, timeout_seconds=SECONDS) for change in steps]
    free = store.read("x", number=0, timeout_seconds=SECONDS).version
    answers += [store.attempt(changes.Retire(name="x", seen=free), number=0, timeout_seconds=SECONDS)]
    retired = store.read("x", number=0, timeout_seconds=SECONDS).version
    answers += [store.attempt(changes.Bury(name="x", seen=retired), number=0, timeout_seconds=SECONDS)]
    gone = store.names(prefix="", after="", limit=9, timeout_seconds=SECONDS)
    answers += [store.attempt(create(), number=0, timeout_seconds=SECONDS)]
    made = store.read("x", number=0, timeout_seconds=SECONDS).version
    in_vain = store.names(prefix="", after="", limit=9, timeout_seconds=SECONDS)
    floor = store.floor(number=0, timeout_seconds=SECONDS)   # as everybody does who meets a new row
    answers += [store.attempt(exactly(made, fence=future + 1), number=0, timeout_seconds=SECONDS)]
    again = until(lambda: store.names(prefix="", after="", limit=9, timeout_seconds=SECONDS))

    assert ([Applied()] * 6, future, [], [], ["x"]) == (answers, floor, gone, in_vain, again)
