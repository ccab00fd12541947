"""Whether the store of locks is as it must be: what is looked at before it is trusted, and by whom something is wrong.

`wrong` means that locks may be granted twice, or that there are none; `risk` that they hold until something fails that they
should have survived; `cost` that they hold, and answer later than they could.
"""

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from django.conf import settings

from core import clock
from core.ids import uuid7
from core.locking.opening import database_address
from core.locking.shared import kind, shared
from locks import LockError
from locks.stores.cassandra import checks
from locks.stores.cassandra.address import Address
from locks.stores.cassandra.checks import Finding, Weight

TRIES = 5
LEASE = timedelta(seconds=10)
CLOCK_SECONDS = 60.0
MAKE = "Run manage.py locks_schema (manage.py migrate, where the locks stand in the database of the jobs)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found."""

    store: str
    findings: list[Finding]
    facts: list[str]

    @property
    def usable(self) -> bool:
        return all(finding.weight is not Weight.WRONG for finding in self.findings)


def examine() -> Examined:
    """Look at the store, then use a lock of our own."""
    store = kind()
    findings = list(_of_store(store))
    facts: list[str] = []
    if all(finding.weight is not Weight.WRONG for finding in findings):
        findings += _try_out(facts)
    return Examined(store=store, findings=sorted(findings, key=lambda each: list(Weight).index(each.weight)), facts=facts)


def _of_store(store: str) -> Iterator[Finding]:
    try:
        match store:
            case "cassandra":
                address = Address.parse(settings.LOCKS_URL)
                yield from checks.findings(checks.facts(address), address)
            case "postgresql":
                yield from _of_postgresql(settings.LOCKS_URL or database_address())
            case _:
                yield Finding(
                    weight=Weight.WRONG, what="locks in memory are of one process alone",
                    remedy="Set LOCKS_URL to postgresql://… or cassandra://…, or unset it",
                )
    except Exception as exc:  # noqa: BLE001  whatever it is, whoever asks has to learn it
        said = str(exc).strip() or type(exc).__name__
        yield Finding(weight=Weight.WRONG, what=f"the store cannot be asked: {said}", remedy="Look at LOCKS_URL and at the servers")


def _of_postgresql(url: str) -> Iterator[Finding]:
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        began = time.monotonic()
        row = connection.execute("""
            SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('full_page_writes'),
                   to_regclass('locks.lock') IS NOT NULL, extract(epoch FROM clock_timestamp())::float8,
                   current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)""").fetchone()
        took = time.monotonic() - began
    assert row is not None  # noqa: S101  such a SELECT has one row
    standby, fsync, full_pages, tables, now, waited_for, replicas = row
    if standby:
        yield Finding(weight=Weight.WRONG, what="this server is a standby, and changes nothing", remedy="Name the primary in LOCKS_URL")
    if not tables:
        yield Finding(weight=Weight.WRONG, what="there are no tables of locks", remedy=MAKE)
    for name, value in (("fsync", fsync), ("full_page_writes", full_pages)):
        if value != "on":
            yield Finding(
                weight=Weight.RISK, what=f"{name} is {value}: a power cut may take grants back that were given",
                remedy=f"Set {name} = on",
            )
    if replicas and not waited_for:
        yield Finding(
            weight=Weight.RISK, what="standbys follow without being waited for: a failover may forget the last grants",
            remedy="Set synchronous_standby_names, or treat a failover as a restore: manage.py locks_floor --raise",
        )
    offset = abs(float(now) - clock.now().timestamp()) - took
    if offset > CLOCK_SECONDS:
        yield Finding(
            weight=Weight.COST, what=f"the clocks of this machine and of the server are {offset:.0f} s apart",
            remedy="Keep both by chrony or ntpd. Tokens rise all the same, by a question more each time",
        )


def _try_out(facts: list[str]) -> Iterator[Finding]:
    """Acquire and release a lock of our own a few times, and say how long that took."""
    name, locks = f"doctor:{os.getpid()}:{uuid7()}", shared()
    seconds, tokens = [], []
    try:
        for _ in range(TRIES):
            began = time.perf_counter()
            lease = locks.acquire(name, lease=LEASE, timeout=LEASE)
            seconds.append(time.perf_counter() - began)
            tokens.append(lease.token)
            lease.release()
        locks.purge(name, by="locks_doctor")
    except LockError as exc:
        yield Finding(weight=Weight.WRONG, what=f"a lock of our own cannot be had: {exc}", remedy="Look at the servers of the store")
        return
    if tokens != sorted(set(tokens)):
        yield Finding(
            weight=Weight.WRONG, what=f"tokens do not rise: {tokens}", remedy="Stop everything that writes under a lock, and tell us",
        )
    facts.append(
        f"a lock is acquired in {statistics.median(seconds[1:]) * 1000:.1f} ms (the first one in {seconds[0] * 1000:.1f} ms)",
    )
