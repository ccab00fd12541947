"""Seal stored values with the first key, so that an old one can be thrown away."""

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from apps.jobs import registry
from apps.jobs.transitions import seal as sealing
from apps.jobs.transitions.statement import on_django
from core import audit
from core.sealing import form, ring

BATCH = 500
PLAIN, UNREADABLE = "plain", "unreadable"   # in the place of a key's id


@dataclass(slots=True, kw_only=True)
class Rotated:
    """What was found and done. `keys` counts the values by the key that opens them afterwards."""

    key: str
    """The id of the key that seals."""
    jobs: int = 0
    """Jobs with fields that are sealed, or are to be."""
    resealed: int = 0
    """Values that were sealed anew, or would be."""
    busy: int = 0
    """Jobs that a handler held: run it again."""
    unopened: int = 0
    """Values that no key of SEAL_KEYS opens: they were left as they are."""
    keys: dict[str, int] = field(default_factory=dict)
    unneeded: list[str] = field(default_factory=list)
    """Keys of SEAL_KEYS that open nothing any more."""


def rotate(*, dry_run: bool = False, batch: int = BATCH) -> Rotated:
    """Seal what older keys have sealed, and what is plain and should not be, with the first key of SEAL_KEYS.

    A batch a transaction, in the order of ids, finished jobs too. What it finds of a key holds for rows that were there:
    a process that still has the old order of keys may add some behind it.
    """
    rotation = _Rotation(dry_run=dry_run)
    if not dry_run:   # told before the first batch: it may be interrupted after any
        audit.record(action="seal.rotate", target="jobs", after={"first_key": rotation.told.key})
    after = sealing.FIRST
    while True:
        rows = sealing.window(on_django(), after=after, types=rotation.types, limit=batch).get()
        rotation.go_on([row for row in rows if row.payload is not None])
        if len(rows) < batch:
            return rotation.end()
        after = rows[-1].id


class _Rotation:
    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.ring = ring.current()
        self.types = [each.name for each in registry.all_types() if each.sensitive]
        self.told = Rotated(key=self.ring.first)
        self.keys: Counter[str] = Counter()

    def go_on(self, rows: list[sealing.Held]) -> None:
        """Seal a batch anew."""
        members: dict[uuid.UUID, dict[str, Any]] = {}
        before: dict[uuid.UUID, list[str]] = {}
        for row in rows:
            found = _Values(row, keys=self.ring)
            self.told.jobs += bool(found.resealed or found.stay)
            self.told.unopened += found.unopened
            self.keys.update(found.stay)
            if found.resealed:
                members[row.id], before[row.id] = found.members, found.resealed
        written = self._written(members)
        for job_id, keys in before.items():
            if job_id in written:
                self.told.resealed += len(keys)
            else:
                self.told.busy += 1
            stay = self.dry_run or job_id not in written
            self.keys.update(keys if stay else [self.told.key] * len(keys))

    def end(self) -> Rotated:
        """Say which keys are needed by nothing; with busy jobs the next run says it."""
        self.told.keys = dict(self.keys)
        if not self.told.busy:
            self.told.unneeded = [name for name in self.ring.ciphers if name != self.told.key and not self.keys[name]]
        return self.told

    def _written(self, members: dict[uuid.UUID, dict[str, Any]]) -> set[uuid.UUID]:
        if self.dry_run or not members:
            return set(members)
        with transaction.atomic():
            return sealing.reseal(on_django(), members).get()


class _Values:
    """What of a row is sealed or should be, and the members in which some of it was sealed anew."""

    def __init__(self, row: sealing.Held, *, keys: ring.Ring) -> None:
        self.ring = keys
        self.type = str(row.type)
        self.resealed: list[str] = []
        """By which keys the values were sealed before, a value each."""
        self.stay: list[str] = []
        self.unopened = 0
        payload = json.loads(row.payload or "{}")
        known = registry.find(self.type)
        new = form.replaced(payload, self._anew, ways=known.sensitive if known else (), also_sealed=True)
        self.members = {name: value for name, value in new.items() if value != payload[name]}

    def _anew(self, way: form.Way, value: Any) -> Any:
        key = (form.key_of(value) or UNREADABLE) if form.is_sealed(value) else PLAIN
        place = form.place(self.type, *way)
        if key == self.ring.first:
            self.stay.append(key)
            return value
        try:
            plain = value if key == PLAIN else self.ring.open(value, place=place)
        except (ring.UnknownSealKey, ring.DamagedSeal):
            self.unopened += 1
            self.stay.append(key)
            return value
        self.resealed.append(key)
        return self.ring.seal(plain, place=place)
