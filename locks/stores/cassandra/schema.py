"""The tables, made once for a keyspace: idempotent, and done only when every node has them."""

import functools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

from locks.stores.cassandra.address import Address
from locks.stores.cassandra.connection import cluster, profile

TEXT = Path(__file__).with_name("schema.cql")
DATACENTER = re.compile(r"[\w .-]+")
COMMENT = re.compile(r"--[^\n]*")
STATEMENT_SECONDS = 10.0
PAUSE_SECONDS = 0.2


class SchemaNotApplied(Exception):
    """The tables could not be made in time; the message names the step and what the cluster said to it."""


def replication(factors: dict[str, int] | int) -> str:
    """Return a keyspace's replication: so many replicas in each data centre that is named, or one number for all."""
    named = factors if isinstance(factors, dict) else {"replication_factor": factors}
    for name, factor in named.items():
        if not DATACENTER.fullmatch(name) or factor < 1:
            raise ValueError(f"{name!r}: {factor} is no replication: a data centre and 1 or more replicas")
    inner = ", ".join(f"'{name}': {factor}" for name, factor in named.items())
    return f"{{'class': 'NetworkTopologyStrategy', {inner}}}"


def statements(*, keyspace: str, replication: str) -> list[str]:
    """Return what makes the keyspace and its tables, each only where it is missing."""
    text = Template(COMMENT.sub("", TEXT.read_text(encoding="utf-8"))).substitute(keyspace=keyspace, replication=replication)
    return [each.strip() for each in text.split(";") if each.strip()]


def apply(
    address: Address, *, factors: dict[str, int] | int = 3, wait_seconds: float = 60.0, say: Callable[[str], None] = lambda _: None,
) -> None:
    """Make what is missing and return when all nodes agree; raise `SchemaNotApplied` when that takes longer than `wait_seconds`.

    A keyspace that exists keeps its replication: see the start-up check.
    """
    give_up = time.monotonic() + wait_seconds
    say(f"connecting to {', '.join(address.hosts)}, port {address.port}; waiting for it at most {wait_seconds:.0f} s")
    session = _until(give_up, "connecting", lambda: _connected(address))
    driver = session.cluster
    try:
        say(f"connected to {driver.metadata.cluster_name}, {len(driver.metadata.all_hosts())} nodes")
        for statement in statements(keyspace=address.keyspace, replication=replication(factors)):
            first = " ".join(statement.split()[:6])
            _until(give_up, first, functools.partial(session.execute, statement, timeout=STATEMENT_SECONDS))
            say(first)
        _until(give_up, "agreement of all nodes", lambda: _agreed(driver, session))
        say("all nodes agree")
    finally:
        driver.shutdown()


def _connected(address: Address) -> Any:
    """Return a session; the driver's object has to be a new one each time, since none connects that has failed to."""
    driver = cluster(address, profile(address))
    try:
        return driver.connect()
    except BaseException:
        driver.shutdown()
        raise


def _agreed(driver: Any, session: Any) -> None:
    """Raise unless all nodes, each asked itself, have one version of the schema."""
    versions = {
        str(host.endpoint): session.execute("SELECT schema_version FROM system.local", host=host).one()["schema_version"]
        for host in driver.metadata.all_hosts()
    }
    if len(set(versions.values())) != 1:
        raise SchemaNotApplied(f"versions differ: {versions}")


def _until(give_up: float, what: str, step: Callable[[], Any]) -> Any:
    """Repeat a step until it works; what the cluster says is wrong about the statement itself is raised at once."""
    from cassandra import AuthenticationFailed, InvalidRequest, Unauthorized  # noqa: PLC0415
    from cassandra.protocol import SyntaxException  # noqa: PLC0415

    from locks.stores.cassandra.answers import causes, told  # noqa: PLC0415  as the driver

    for _ in _pauses():
        try:
            return step()
        except (AuthenticationFailed, Unauthorized, SyntaxException):
            raise
        except Exception as exc:
            if any(isinstance(each, AuthenticationFailed) for each in causes(exc).values()):
                raise SchemaNotApplied(f"{what}: {told(exc)}") from exc
            if isinstance(exc, InvalidRequest) and "exist" not in str(exc):   # a keyspace that has not come everywhere yet
                raise
            if time.monotonic() > give_up:
                raise SchemaNotApplied(f"{what}: {told(exc)}") from exc
    raise AssertionError


def _pauses() -> Iterator[None]:
    while True:
        yield
        time.sleep(PAUSE_SECONDS)
