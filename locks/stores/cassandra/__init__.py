"""Locks on Apache Cassandra: one row and one partition a lock, changed by lightweight transactions (LWT) only.

Rows     `statements` has every statement that may touch a row. Each condition names all columns, the undecisive ones in a
         form that is always true, because a refusal shows exactly the columns of its condition: it is the observation.
Trust    Paxos, for the order of what happens to one partition. No TTL, no server's clock, no timestamp of a client.
Answers  `answers` says of each thing the driver may say whether the change was applied, refused, not done, or whether
         nobody knows. `connection` asks the first replica of a lock, the same for all clients, so that contenders queue
         there instead of outbidding each other's ballots; attempt number k goes to the k-th replica after it.
Levels   SERIAL and QUORUM, or LOCAL_SERIAL and LOCAL_QUORUM within one data centre; never both for one namespace, because
         Paxos does not order the ones after the others. The namespace's row says which, and a store of the other is refused.
         What an LWT has decided is committed at ONE or ANY where `paxos` says that it is found and not forgotten all the same.
Failure  One replica of three gone: nothing. Frozen: the driver notices within 3 s (short heartbeats), until then a lock
         whose first replica it is costs one attempt more. Two gone: no answers; leases end on time, on their holders'
         clocks. A forked child never touches the driver's objects that it inherited: it would hang for ever.

The driver is imported when the first connection is made, so that whoever uses other stores need not have it.
"""

from locks.stores.cassandra.address import Address
from locks.stores.cassandra.store import CassandraStore

__all__ = ["Address", "CassandraStore"]
