"""What each thing that the driver may say about one attempt of an LWT tells us: one pure function, tested case by case.

Facts about driver 3.30 that are easy to miss: CAS_WRITE_UNKNOWN (0x1700) and a few others arrive as bare `ErrorMessage`
objects, which are no `DriverException`; a lost connection surfaces as `ConnectionException` under a policy that retries
nothing; and `NoHostAvailable` may hide a request that was sent in its `errors`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cassandra
from cassandra import ConsistencyLevel, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage

from locks.answers import Answer, Applied, NotDone, Refused, Unknown
from locks.row import Row, State

SERIAL_LEVELS = {ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL}
NOT_SENT = ("Host has been marked down", "Pool is shutdown", "Pool for this host is shutdown")
PROTOCOL_ERROR, BAD_CREDENTIALS, BOOTSTRAPPING, CAS_WRITE_UNKNOWN = 0x000A, 0x0100, 0x1002, 0x1700


@dataclass(frozen=True, slots=True)
class Rejected:
    """The condition was false; the cells are those of the columns that it names, none of a missing row."""

    cells: Mapping[str, Any]


Verdict = Applied | Rejected | NotDone | Unknown


class NotConnected(Exception):
    """There is no session yet, or the wanted node is none that the driver knows: nothing was sent."""


def classify(signal: object) -> Verdict:
    """Say what a result (the rows) or an exception means.

    An exception that speaks of a fault in our own statement, settings or code is raised again: asking once more would
    be for ever.
    """
    for kind, meaning in _MEANINGS:
        if isinstance(signal, kind):
            return meaning(signal)
    if isinstance(signal, BaseException):
        raise signal
    raise TypeError(f"neither rows nor an exception: {signal!r}")


def unconnected(error: BaseException) -> BaseException:
    """Return what is raised when no session could be made: nothing was sent then, unless it is a fault of ours."""
    denied = cassandra.AuthenticationFailed
    refused: BaseException | None = next((each for each in causes(error).values() if isinstance(each, denied)), None)
    if refused is not None:
        return refused
    try:
        verdict = classify(error)
    except Exception as exc:  # noqa: BLE001  it is returned to be raised
        return exc
    return NotConnected(f"not connected: {told(error) if causes(error) else getattr(verdict, 'why', verdict)}")


def causes(error: BaseException) -> Mapping[object, BaseException]:
    """Return what each host said where no host answered."""
    return error.errors if isinstance(error, NoHostAvailable) and isinstance(error.errors, Mapping) else {}


def told(error: BaseException) -> str:
    """Return an error of the driver in one line, for people."""
    said = "; ".join(f"{host}: {_line(cause)}" for host, cause in causes(error).items())
    return said or _line(error)


def _line(error: BaseException) -> str:
    text = (getattr(error, "strerror", None) or str(error)).rpartition("Last error: ")[2]
    return (text.strip().splitlines() or [type(error).__name__])[0]


def answer(verdict: Verdict) -> Answer:
    """Return the verdict as stores answer, with the whole row of a refusal."""
    return Refused(row(verdict.cells)) if isinstance(verdict, Rejected) else verdict


def row(cells: Mapping[str, Any]) -> Row | None:
    """Return the row that these cells are, None for those of a missing one."""
    if cells.get("state") is None:
        return None
    return Row(
        state=State(cells["state"]), fence=cells["fence"], hb=cells["hb"], nonce=cells["nonce"], owner=cells["owner"],
        lease_ms=cells["lease_ms"], since_ms=cells["since_ms"],
    )


def _rows(rows: list[Any]) -> Verdict:
    if len(rows) != 1 or "[applied]" not in rows[0]:
        raise TypeError(f"this was no conditional statement: {rows!r}")
    return Applied() if rows[0]["[applied]"] else Rejected({name: cell for name, cell in rows[0].items() if name != "[applied]"})


def _unavailable(signal: cassandra.Unavailable) -> Verdict:
    if signal.consistency in SERIAL_LEVELS:
        return NotDone("unavailable")
    return Unknown("unavailable to commit")   # v1 counts the living for the commit after the decision


def _write_timeout(signal: cassandra.WriteTimeout) -> Verdict:
    decided = signal.write_type == WriteType.SIMPLE or signal.consistency not in SERIAL_LEVELS   # v1, v2
    return Unknown("write timeout, decided" if decided else "write timeout, undecided")


def _no_host(signal: NoHostAvailable) -> Verdict:
    return NotDone("no host") if _all_unsent(signal.errors) else Unknown("no host, maybe sent")


def _message(signal: ErrorMessage) -> Verdict:
    """Say what an error means for which the driver has no exception."""
    if signal.code in {PROTOCOL_ERROR, BAD_CREDENTIALS}:
        raise signal
    if signal.code == BOOTSTRAPPING:   # a node that has not joined coordinates nothing
        return NotDone("bootstrapping")
    return Unknown("the server does not know" if signal.code == CAS_WRITE_UNKNOWN else f"error {signal.code:#06x}")


def _our_fault(signal: Exception) -> Verdict:
    raise signal


def _all_unsent(errors: object) -> bool:
    """Tell whether no host was sent anything; of no errors at all nothing is known to have been sent either."""
    found: Iterable[object] = errors.values() if isinstance(errors, Mapping) else errors if isinstance(errors, (list, tuple)) else ()
    return all(
        isinstance(error, (NoConnectionsAvailable, ConnectionBusy)) or any(text in str(error) for text in NOT_SENT) for error in found
    )


# The first kind that fits decides; the driver's classes stand above those that they inherit from.
_MEANINGS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Verdict]], ...] = (
    (list, _rows),
    (NotConnected, lambda signal: NotDone(str(signal))),
    (cassandra.Unavailable, _unavailable),
    (cassandra.WriteTimeout, _write_timeout),
    (NoHostAvailable, _no_host),
    (ErrorMessage, _message),
    ((NoConnectionsAvailable, ConnectionBusy), lambda _: NotDone("no free connection")),
    (cassandra.OperationTimedOut, lambda _: Unknown("no answer in time")),
    ((ConnectionException, OSError), lambda _: Unknown("connection lost")),
    ((cassandra.RequestValidationException, cassandra.AuthenticationFailed, cassandra.UnsupportedOperation), _our_fault),
    (cassandra.DriverException, lambda signal: Unknown(type(signal).__name__)),
)
