"""One session of the driver a process, made at the first use, and the one way in which statements are asked.

- Nothing is retried by the driver: its default policy runs an LWT again on the next host whenever a connection dies.
- The time of an attempt is kept here, on a clock that nobody sets: the driver's own timers follow the wall clock, and
  one that is set back would leave a holder waiting for an answer beyond its lease.
- Connecting happens in a thread of its own: it may take longer than a caller has.
- After a fork the child forgets what it inherited, and makes its own. It must not even let go of it: the event loop of
  the parent is registered in the kernel under a descriptor that both share.
"""

import queue
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from locks.forking import remember_to_forget
from locks.stores.cassandra.address import Address
from locks.stores.cassandra.paxos import Paxos, promised

HEARTBEAT_SECONDS, HEARTBEAT_TIMEOUT_SECONDS = 1, 2   # a frozen node is noticed after 3 s, not after a minute
RECONNECT_SECONDS = 1
CONNECT_SECONDS = 3
REFUSED_SECONDS = 0.25     # for so long nobody tries again who was refused: each try is a few threads and sockets
SHORTEST_SECONDS = 0.05
SENDING_SECONDS = 0.0002   # the event loop, which sends, gets no turn while a thread goes on working
ALL_SECONDS, PAUSE_SECONDS = 1.0, 0.01
PROTOCOL = 5               # of Cassandra 4.0 and later
GRACE_SECONDS = 0.1   # the driver's timer says better what happened than ours; ours is for when it does not ring

Levels = Mapping[Paxos, str]
NONE: Mapping[Any, Levels] = {}

_INHERITED: list["_Made"] = []


@dataclass(slots=True)
class _Made:
    """What one process has made."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    session: Any = None
    policy: Any = None
    connecting: "_Connecting | None" = None
    refused: tuple[float, BaseException] | None = None
    """When the last try to connect failed, and with what."""


@dataclass(slots=True)
class _Connecting:
    """One try to connect, which several callers may wait for."""

    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class Connection:
    """A cluster, asked with prepared statements, each known by any key.

    `serial` names those that read through Paxos. `brief` names conditional ones that are answered before a quorum has them in
    its tables, each with the level that is waited for by what the cluster's Paxos promises: decided is decided, and whoever
    asks through Paxos finds it; who looks past Paxos may see the row as it was, mostly for a moment, and where the node that
    has decided it is gone until somebody asks through Paxos. Where less is promised they wait for a quorum, as all others do.
    """

    def __init__(
        self, address: Address, *, texts: Mapping[Any, str], serial: frozenset[Any] = frozenset(), brief: Mapping[Any, Levels] = NONE,
    ) -> None:
        self.address, self._texts, self._serial, self._brief = address, texts, serial, brief
        self._prepared: dict[Any, Any] = {}
        self._make()
        remember_to_forget(self)

    def ask(
        self, key: Any, values: Mapping[str, Any], *, number: int, timeout_seconds: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[dict[str, Any]]:
        """Run a statement once, at the replica of this number, and return its rows; raise what the driver says instead.

        `meanwhile` is called when it is under way, before its answer is waited for.
        """
        pending = self.begin(key, values, number=number, timeout_seconds=timeout_seconds)
        if meanwhile is not None:
            time.sleep(SENDING_SECONDS)
            meanwhile()
        return pending.rows()

    def begin(self, key: Any, values: Mapping[str, Any], *, number: int, timeout_seconds: float) -> "Pending":
        """Send a statement, so that others may be sent before its answer is waited for."""
        began = time.monotonic()
        made = self._connected(timeout_seconds)
        if (session := made.session) is None:
            raise _not_connected("closed")
        left = max(SHORTEST_SECONDS, timeout_seconds - (time.monotonic() - began))   # connecting may have taken most of it
        statement = self._prepared[key]
        bound = statement.bind([values[column.name] for column in statement.column_metadata])
        hosts = list(made.policy.make_query_plan(self.address.keyspace, bound))
        if not hosts:
            raise _not_connected("no node is up")
        pending = Pending(left)
        future = session.execute_async(bound, timeout=left, host=hosts[number % len(hosts)])
        future.add_callbacks(pending.answered, pending.answered)
        return pending

    def session(self, timeout_seconds: float) -> Any:
        """Return the driver's session, for what is not asked by key: checks, tracing."""
        return self._connected(timeout_seconds).session

    def close(self) -> None:
        """End the session of this process; the next use makes a new one."""
        with self._made.lock:
            session, self._made.session = self._made.session, None
            self._made.connecting = None
        if session is not None:
            session.cluster.shutdown()

    def forget(self) -> None:
        """Start anew in a forked child, without touching what the parent uses; a lock that was held at the fork stays held."""
        _INHERITED.append(self._made)
        self._ending.detach()
        self._make()

    def _make(self) -> None:
        """Begin without a session. One that is open when nobody has this object any more, such as one that a thread has made
        behind a `close`, is ended then: the driver would keep it, and connect again and again, until the process ends.
        """
        self._made = _Made()
        self._ending = weakref.finalize(self, _end, self._made)
        self._ending.atexit = False   # the driver sees to that by itself

    def _connected(self, timeout_seconds: float) -> _Made:
        """Return the session, made by a thread that others may wait for as well."""
        made = self._made
        if made.session is not None:
            return made
        from locks.stores.cassandra.answers import unconnected  # noqa: PLC0415  the driver comes with the first use

        with made.lock:
            if made.session is not None:
                return made
            attempt = made.connecting
            if attempt is None:
                if made.refused is not None and time.monotonic() < made.refused[0] + REFUSED_SECONDS:
                    raise unconnected(made.refused[1]) from made.refused[1]
                attempt = made.connecting = _Connecting()
                threading.Thread(target=self._connect, args=(made, attempt), name="locks-connect", daemon=True).start()
        if not attempt.done.wait(max(0.0, timeout_seconds)):
            raise _not_connected("still connecting")
        if attempt.error is not None:
            raise unconnected(attempt.error) from attempt.error
        return made

    def _connect(self, made: _Made, attempt: _Connecting) -> None:
        try:
            session, policy, prepared = self._open()
        except BaseException as exc:  # noqa: BLE001  it belongs to those who wait
            attempt.error = exc
            with made.lock:
                made.refused = time.monotonic(), exc
                if made.connecting is attempt:
                    made.connecting = None   # the next caller tries again
        else:
            with made.lock:
                wanted = made.connecting is attempt   # not any more when it was closed meanwhile
                if wanted:
                    self._prepared = prepared
                    made.policy, made.session = policy, session
                    made.connecting = None
            if not wanted:
                session.cluster.shutdown()
                attempt.error = _not_connected("closed")
        attempt.done.set()

    def _open(self) -> tuple[Any, Any, dict[Any, Any]]:
        from cassandra import ConsistencyLevel  # noqa: PLC0415

        address, used = self.address, profile(self.address)
        driver = cluster(address, used)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")   # what the driver will no longer support some day
                session = driver.connect()
            _wait_for_all(session)
            promise = promised(session, _deciding(session, used, address), timeout_seconds=ALL_SECONDS) if self._brief else Paxos.V1
            prepared = {}
            for key, text in self._texts.items():
                prepared[key] = session.prepare(text.format(keyspace=address.keyspace))
                if key in self._serial:
                    prepared[key].consistency_level = ConsistencyLevel.name_to_value[address.serial]
                elif allowed := [level for least, level in sorted(self._brief.get(key, {}).items()) if promise >= least]:
                    prepared[key].consistency_level = ConsistencyLevel.name_to_value[_within(address, allowed[-1])]
        except BaseException:
            driver.shutdown()
            raise
        return session, used.load_balancing_policy, prepared


def _not_connected(why: str) -> Exception:
    from locks.stores.cassandra.answers import NotConnected  # noqa: PLC0415  the driver comes with the first use

    return NotConnected(why)


def _end(made: _Made) -> None:
    """End what was made; on a thread of its own, for whoever happens to let go may be one that ending waits for."""
    if made.session is not None:
        threading.Thread(target=made.session.cluster.shutdown, name="locks-closing", daemon=True).start()


def _within(address: Address, level: str) -> str:
    return "LOCAL_ONE" if address.local and level == "ONE" else level


def _deciding(session: Any, used: Any, address: Address) -> list[Any]:
    """Return the nodes that may take part in a decision: all, or those of one data centre."""
    from cassandra.policies import HostDistance  # noqa: PLC0415

    distance = used.load_balancing_policy.distance
    return [host for host in session.cluster.metadata.all_hosts() if not address.local or distance(host) != HostDistance.IGNORED]


def _wait_for_all(session: Any) -> None:
    """Wait for connections to the other nodes too, for a moment: the driver returns with the first, and a lock's may be another."""
    give_up = time.monotonic() + ALL_SECONDS
    while time.monotonic() < give_up and len(session.get_pool_state()) < sum(
        host.is_up is not False for host in session.cluster.metadata.all_hosts()
    ):
        time.sleep(PAUSE_SECONDS)


class Pending:
    """A statement that was sent."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def answered(self, signal: Any) -> None:
        """Take the answer; called by the driver's event loop, which must not be held up."""
        self._answer.put(signal)

    def rows(self) -> list[dict[str, Any]]:
        """Wait for the rows; raise what came instead, or `OperationTimedOut` when nothing did."""
        try:
            signal = self._answer.get(timeout=max(0.0, self._timeout_seconds) + GRACE_SECONDS)
        except queue.Empty:
            from cassandra import OperationTimedOut  # noqa: PLC0415  it is here since the statement was sent

            raise OperationTimedOut from None
        if isinstance(signal, BaseException):
            raise signal
        return list(signal or ())


def profile(address: Address) -> Any:
    """Return how statements are asked: at our levels, nothing repeated, rows by name."""
    from cassandra import ConsistencyLevel  # noqa: PLC0415
    from cassandra.cluster import ExecutionProfile  # noqa: PLC0415
    from cassandra.policies import DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy  # noqa: PLC0415
    from cassandra.query import dict_factory  # noqa: PLC0415

    levels = ConsistencyLevel.name_to_value
    around = DCAwareRoundRobinPolicy(address.datacenter) if address.datacenter else DCAwareRoundRobinPolicy()
    return ExecutionProfile(
        # Not shuffled: every client's first choice for a lock is the same node, where contenders queue.
        load_balancing_policy=TokenAwarePolicy(around, shuffle_replicas=False), retry_policy=FallthroughRetryPolicy(),
        consistency_level=levels[address.quorum], serial_consistency_level=levels[address.serial],
        request_timeout=address.attempt_seconds, row_factory=dict_factory,
    )


def cluster(address: Address, used: Any) -> Any:
    """Return the driver's cluster object for an address, not connected yet; the caller shuts it down."""
    from cassandra.auth import PlainTextAuthProvider  # noqa: PLC0415
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster  # noqa: PLC0415
    from cassandra.policies import AddressTranslator, ConstantReconnectionPolicy  # noqa: PLC0415

    class Translator(AddressTranslator):  # type: ignore[misc]  # it has no types
        def translate(self, told: str) -> str:
            return address.translate(told) if address.translate else told

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Cluster(
            list(address.hosts), port=address.port, address_translator=Translator(), protocol_version=PROTOCOL,
            auth_provider=PlainTextAuthProvider(address.user, address.password) if address.user else None,
            ssl_context=_tls(address), reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
            idle_heartbeat_interval=HEARTBEAT_SECONDS, idle_heartbeat_timeout=HEARTBEAT_TIMEOUT_SECONDS,
            connect_timeout=CONNECT_SECONDS, control_connection_timeout=CONNECT_SECONDS,
            execution_profiles={EXEC_PROFILE_DEFAULT: used}, prepare_on_all_hosts=False,
        )


def _tls(address: Address) -> Any:
    if address.tls is None:
        return None
    import ssl  # noqa: PLC0415  few need it

    return ssl.create_default_context(cafile=str(address.tls))
