"""The row of one action, and its link to those before."""

from typing import ClassVar

from django.db import models
from django.db.models.expressions import RawSQL


class AuditEntry(models.Model):
    """Something that somebody did. Written by `record`, then never again: the database refuses."""

    at = models.DateTimeField(db_default=RawSQL("clock_timestamp()", []))
    actor = models.TextField()                   # what they are known by: token:1a2b3c4d, user:7, terminal:root, system
    actor_name = models.TextField(default="")
    role = models.TextField(default="")
    channel = models.TextField(default="")       # api, admin, command or system
    address = models.TextField(default="")       # the client's, or the name of the machine with the terminal
    action = models.TextField()                  # job.retry, queue.pause, token.create
    target = models.TextField()                  # job:<id>, queue:<name>, token:<prefix>
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.TextField(default="")

    class Meta:
        db_table = "audit_entry"
        managed = False   # else `flush` would empty it, or rather fail to
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}Z {self.actor} {self.action} {self.target}"


class AuditLink(models.Model):
    """The place of an entry in the chain, and the digest of all up to there; see `core.audit.chain`."""

    position = models.BigIntegerField(primary_key=True)
    entry_id = models.BigIntegerField(unique=True)
    digest = models.TextField()

    class Meta:
        db_table = "audit_link"
        managed = False
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"
