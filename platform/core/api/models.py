"""Rows of the HTTP interface: who may ask, and what was answered under an `Idempotency-Key`."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from core.api.roles import Role


class ApiToken(models.Model):
    """A machine's way in. The token itself is shown once and never stored; see `core.api.tokens`."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, unique=True)   # the part that is shown, and by which the row is found
    digest = models.CharField(max_length=64)               # SHA-256: the secret has 256 random bits, nothing to guess
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)         # within a minute: writing each use would cost each request
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API token"
        constraints: ClassVar = [
            models.CheckConstraint(name="api_token_role_is_known", condition=models.Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.name} (lw_{self.prefix}, {self.role})"


class IdempotencyRecord(models.Model):
    """What a request with an `Idempotency-Key` made, so that its repeat makes nothing.

    Written in the transaction of that work: a row that can be seen is the row of a request that succeeded.
    """

    principal = models.CharField(max_length=64)
    route = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    result = models.JSONField()                            # what identifies the work, such as a job's id as text
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(name="idempotency_key_is_used_once", fields=["principal", "route", "key"]),
        ]
        indexes: ClassVar = [models.Index(name="idempotency_record_expiry", fields=["expires_at"])]

    def __str__(self) -> str:
        return f"{self.principal} {self.route} {self.key}"
