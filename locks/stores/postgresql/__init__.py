"""Locks in PostgreSQL: the same rows, changes and answers as on Cassandra, and no server's clock either.

One attempt is one transaction, sent in one go: lock the row and read it, change it if the condition is true, commit. What a
refusal shows is thus the row on which the condition was evaluated. No advisory locks, no `now()`, no expiry.

An answer is definite when the commit is on the server's disk: `synchronous_commit` is turned on whatever the database says.
A failover to a replica that had not yet received everything forgets grants: replicate synchronously, or treat it as a
restore (raise the floor, wait for the longest lease).
"""

from locks.stores.postgresql.schema import create_schema
from locks.stores.postgresql.store import PostgresqlStore

__all__ = ["PostgresqlStore", "create_schema"]
