"""Rings for what a transaction has made ready, once it is committed."""

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db import transaction

from apps.jobs import publishing


def ring_after_commit(queues: Iterable[str]) -> None:
    """Ring for queues, each as often as it is named, after the commit: a worker may not look before the row exists."""
    counts = Counter(queues)
    if counts:
        transaction.on_commit(lambda: _ring(counts), robust=True)


def _ring(counts: Mapping[str, int]) -> None:
    for queue, count in counts.items():
        publishing.ring(queue, count=count)
