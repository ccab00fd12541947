"""Rings for what a transaction has made ready, once it is committed."""

from collections.abc import Mapping

from django.db import transaction

from apps.jobs import publishing


def ring_after_commit(ready: Mapping[str, int]) -> None:
    """Ring for queues with so many ready jobs, after the commit: a worker may not look before the row exists."""
    counts = {queue: count for queue, count in ready.items() if count}
    if counts:
        transaction.on_commit(lambda: _ring(counts), robust=True)


def _ring(counts: Mapping[str, int]) -> None:
    for queue, count in counts.items():
        publishing.ring(queue, count=count)
