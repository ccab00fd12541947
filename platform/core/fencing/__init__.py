"""Carry a lock's token into what is written, so that a holder who does not know yet that it is one no more changes nothing.

A lease says when to stop; only the resource itself can refuse whoever did not stop in time (paused, partitioned, ousted by
an operator). Each helper here makes one kind of resource compare tokens: what carries a lower one than the resource has
seen is refused with `StaleToken`, the same and higher ones are let in and remembered.

    rows        rows of this database: `fenced_update`, `raise_fence`, the mixin `FencedModel`
    resources   several rows, or whatever has no row of its own, under one name: `admit`, in the transaction of the writes
    grants      what an operator has ended by force: refused in this database at once, by both of the above
    redis       a value in Redis or Valkey, by one script
    cassandra   a row in Cassandra, by one conditional statement
    objects     an object in S3 or in a folder, by a precondition
    headers     calls of other services: the idempotency key, and the token for a service that compares

Two rules make it complete. Raise the fence when the work *begins* (`raise_fence`, or a first fenced write): that stops an
older holder that has not written yet. And fence a resource by lock tokens or by the fences of jobs, never by both: they are
numbers of different kinds.
"""

from core.fencing.errors import StaleToken

__all__ = ["StaleToken"]
