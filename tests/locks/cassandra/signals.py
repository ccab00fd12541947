"""Whatever driver 3.30 may answer to an LWT, each as it arrives, with what it means."""

from dataclasses import dataclass
from typing import Any

import cassandra
from cassandra import ConsistencyLevel, OperationTimedOut, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException, ConnectionShutdown
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage, IsBootstrappingErrorMessage, OverloadedErrorMessage, ServerError

from locks.stores.cassandra.answers import NotConnected

SERIAL, LOCAL_SERIAL, QUORUM = ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL, ConsistencyLevel.QUORUM
DOWN = ConnectionException("Host has been marked down or removed")


@dataclass(frozen=True, slots=True)
class Signal:
    """One answer. `unsent`: it promises that nothing was done, so that it may not be injected after something was."""

    name: str
    raised: Any
    meaning: str

    @property
    def unsent(self) -> bool:
        return self.meaning == "NotDone"


SIGNALS = [
    Signal("no quorum before proposing", cassandra.Unavailable("", consistency=SERIAL), "NotDone"),
    Signal("no local quorum before proposing", cassandra.Unavailable("", consistency=LOCAL_SERIAL), "NotDone"),
    Signal("no quorum for the commit", cassandra.Unavailable("", consistency=QUORUM), "Unknown"),
    Signal("v1: commit in time nowhere", cassandra.WriteTimeout("", write_type=WriteType.SIMPLE, consistency=QUORUM), "Unknown"),
    Signal("v2: commit in time nowhere", cassandra.WriteTimeout("", write_type=WriteType.CAS, consistency=QUORUM), "Unknown"),
    Signal("undecided", cassandra.WriteTimeout("", write_type=WriteType.CAS, consistency=SERIAL), "Unknown"),
    Signal("locally undecided", cassandra.WriteTimeout("", write_type=WriteType.CAS, consistency=LOCAL_SERIAL), "Unknown"),
    Signal("v1: reading timed out", cassandra.ReadTimeout("", consistency=SERIAL), "Unknown"),
    Signal("a replica failed to read", cassandra.ReadFailure("", consistency=SERIAL), "Unknown"),
    Signal("a replica failed to write", cassandra.WriteFailure("", write_type=WriteType.CAS, consistency=SERIAL), "Unknown"),
    Signal("CAS_WRITE_UNKNOWN", ErrorMessage(0x1700, "CAS operation result is unknown", None), "Unknown"),
    Signal("overloaded", OverloadedErrorMessage(0x1001, "", None), "Unknown"),
    Signal("a fault of the server", ServerError(0x0000, "", None), "Unknown"),
    Signal("not joined yet", IsBootstrappingErrorMessage(0x1002, "", None), "NotDone"),
    Signal("the client's timer", OperationTimedOut(), "Unknown"),
    Signal("the connection was lost", ConnectionShutdown("[Errno 104] Connection reset by peer"), "Unknown"),
    Signal("the socket broke", ConnectionResetError(104, "Connection reset by peer"), "Unknown"),
    Signal("a connection that is busy", ConnectionBusy("full"), "NotDone"),
    Signal("no connection is free", NoConnectionsAvailable("none"), "NotDone"),
    Signal("every host is down", NoHostAvailable("", {"a": DOWN, "b": DOWN}), "NotDone"),
    Signal("every host is busy", NoHostAvailable("", {"a": NoConnectionsAvailable(), "b": ConnectionBusy()}), "NotDone"),
    Signal("there is no host", NoHostAvailable("", {}), "NotDone"),
    Signal("a list of hosts that are down", NoHostAvailable("", [DOWN]), "NotDone"),
    Signal("one host of two was asked", NoHostAvailable("", {"a": DOWN, "b": OperationTimedOut()}), "Unknown"),
    Signal("the only host broke off", NoHostAvailable("", {"a": ConnectionShutdown("reset")}), "Unknown"),
    Signal("any other word of the driver", cassandra.DriverException("?"), "Unknown"),
    Signal("no session yet", NotConnected("still connecting"), "NotDone"),
]

FAULTS = [   # of ours: raised again, as they came
    cassandra.InvalidRequest("table locks does not exist"),
    cassandra.Unauthorized("no"),
    cassandra.AuthenticationFailed("no"),
    cassandra.UnsupportedOperation("no"),
    ErrorMessage(0x000A, "protocol error", None),
    ErrorMessage(0x0100, "bad credentials", None),
    KeyError("a bug"),
]
