"""Entries chained by their digests, so that a change behind the triggers' back shows.

The triggers stop whoever may write the table; whoever owns it can switch them off. So each entry is linked after it was
committed: its digest is over the entry and the digest before, hence over all before it. Nobody waits for a link, as
chaining in the writing transaction would have all operators wait for each other. Whoever writes down the head elsewhere
(`audit_verify` prints it) can show later that nothing up to there was changed, removed or put in between.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from core.audit.models import AuditEntry, AuditLink

START = "0" * 64
LOCK = 0x1A7C_4A0D        # any number, the same for all of us
LATE = timedelta(hours=2)   # an entry that has no link after so long was kept from having one
REACH = 100_000           # entries that may be committed later than one with a higher number; else each look is at all
PART = 1_000
FACTS = (
    "id", "actor", "actor_name", "role", "channel", "address", "action", "target", "before", "after", "request_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How far the chain holds. `broken` says in a sentence where it does not, or is empty."""

    links: int
    head: str
    unlinked: int
    late: int
    broken: str


def seal(*, limit: int = PART) -> int:
    """Link entries that have no link yet, at most `limit`, and return how many; 0 also while somebody else links."""
    with transaction.atomic():
        if not _alone():
            return 0
        last = AuditLink.objects.order_by("-position").first()
        position, digest = (last.position, last.digest) if last else (0, START)
        links = []
        for entry in _unlinked()[:limit]:
            position, digest = position + 1, digest_of(entry, before=digest)
            links.append(AuditLink(position=position, entry_id=entry.pk, digest=digest))
        AuditLink.objects.bulk_create(links)
    return len(links)


def verify(*, expected: tuple[int, str] | None = None) -> Verified:
    """Walk the chain from its start; `expected` is a position and its digest as somebody wrote them down."""
    position, digest, broken = 0, START, ""
    for link, entry in _walk():
        position += 1
        if link.position != position:
            broken = f"link {position} is missing"
        elif entry is None:
            broken = f"entry {link.entry_id} of link {position} is missing"
        elif link.digest != digest_of(entry, before=digest):
            broken = f"entry {link.entry_id} of link {position} was changed, or its link was"
        elif expected and expected[0] == position and expected[1] != link.digest:
            broken = f"link {position} has not the digest that was expected: what is before it was written anew"
        if broken:
            position -= 1
            break
        digest = link.digest
    if not broken and expected and expected[0] > position:
        broken = f"there is no link {expected[0]}: the chain ends at {position}"
    free = AuditEntry.objects.filter(~Exists(AuditLink.objects.filter(entry_id=OuterRef("id"))))
    late = free.filter(at__lt=Now() - LATE).count()
    return Verified(links=position, head=digest, unlinked=free.count(), late=late, broken=broken)


def digest_of(entry: AuditEntry, *, before: str) -> str:
    """Return the digest of an entry that follows the digest `before`."""
    facts: dict[str, Any] = {name: getattr(entry, name) for name in FACTS}
    facts["at"] = entry.at.isoformat(timespec="microseconds")
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _unlinked() -> Any:
    furthest = AuditLink.objects.order_by("-entry_id").values_list("entry_id", flat=True).first() or 0
    linked = AuditLink.objects.filter(entry_id=OuterRef("id"))
    return AuditEntry.objects.filter(~Exists(linked), id__gt=furthest - REACH).order_by("id")


def _walk() -> Iterator[tuple[AuditLink, AuditEntry | None]]:
    after = 0
    while links := list(AuditLink.objects.filter(position__gt=after).order_by("position")[:PART]):
        entries = AuditEntry.objects.in_bulk([link.entry_id for link in links])
        for link in links:
            yield link, entries.get(link.entry_id)
        after = links[-1].position
