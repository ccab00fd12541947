"""Locks as rows of Django's admin, which knows nothing else. There is no such table: the store of locks has them."""

from typing import ClassVar, Self

from django.db import models

from core.locking.looking import Sight


class Lock(models.Model):
    """One grant of a lock as somebody sees it. `key` names both: what is done to it is done to that grant alone."""

    key = models.TextField(primary_key=True)       # <token>:<name>
    name = models.TextField()
    state = models.TextField()
    token = models.BigIntegerField()
    holder = models.TextField()
    since = models.DateTimeField(null=True)
    age_seconds = models.FloatField(null=True)
    lease_seconds = models.FloatField(null=True)
    free_in_seconds = models.FloatField(null=True)
    renewals = models.BigIntegerField(null=True)
    waiters = models.BigIntegerField()

    class Meta:
        db_table = "lock_of_the_store"
        managed = False
        default_permissions = ()
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return f"{self.name}, token {self.token}" + (f", held by {self.holder}" if self.holder else "")

    @classmethod
    def of(cls, sight: Sight) -> Self:
        """Return the row of a sight."""
        return cls(
            key=key_of(sight.name, sight.token), name=sight.name, state=sight.state, token=sight.token, holder=sight.holder or "",
            since=sight.since, age_seconds=sight.age_seconds, lease_seconds=sight.lease_seconds,
            free_in_seconds=sight.free_in_seconds, renewals=sight.renewals, waiters=sight.waiters,
        )


def key_of(name: str, token: int) -> str:
    """Return what names a grant."""
    return f"{token}:{name}"


def grant_of(key: str) -> tuple[str, int] | None:
    """Return the lock and the token that a key names, if it is one."""
    token, colon, name = key.partition(":")
    return (name, int(token)) if colon and name and token.isascii() and token.isdecimal() and len(token) < 20 else None
