"""Rows of this database that compare tokens."""

from typing import Any, Self, TypeVar

from django.db import models, router, transaction

from core.fencing import grants
from core.fencing.errors import StaleToken
from core.fencing.models import ResourceFence

ModelT = TypeVar("ModelT", bound=models.Model)


def fenced_update(queryset: models.QuerySet[ModelT], token: int, **changes: Any) -> int:
    """Update the rows and raise their fence to `token`, all or none; return how many there were.

    Raise StaleToken when one of them has seen a higher token, or an operator has ended the grant. The model has a field `fence`, as `FencedModel` gives it. In a
    transaction of the caller's this is a savepoint of it; the rows are locked until that ends.
    """
    with transaction.atomic(using=queryset.db):
        writable = queryset.filter(fence__lte=token)
        if queryset.db == router.db_for_write(ResourceFence):
            writable = writable.exclude(grants.revoked(token))   # in the one statement that writes
        updated = writable.update(fence=token, **changes)
        if not updated or queryset.db != router.db_for_write(ResourceFence):
            grants.refuse_revoked(token)
        # what is left of the rows in question; the ones just written have this token, and can match no more
        refused = queryset.filter(fence__gt=token).values_list("pk", "fence").first()
        if refused is not None:
            resource = f"{queryset.model._meta.label_lower} {refused[0]}"   # noqa: SLF001  Django's public name for it
            raise StaleToken(resource, token=token, seen=refused[1])
    return updated


def raise_fence(queryset: models.QuerySet[ModelT], token: int) -> int:
    """Stop whoever holds an older token, before anything is written under this one; return how many rows there are."""
    return fenced_update(queryset, token)


class FencedModel(models.Model):
    """A row that a lock protects. Write it by `fenced_save` only, or by `fenced_update`."""

    fence = models.BigIntegerField(default=0, editable=False, help_text="The highest token that has written this row.")

    class Meta:
        abstract = True

    def fenced_save(self, token: int, **changes: Any) -> Self:
        """Write these fields under the token, here and in the database; raise StaleToken if the row has seen a higher one."""
        rows = type(self)._default_manager.using(self._state.db).filter(pk=self.pk)   # noqa: SLF001  as above
        if not fenced_update(rows, token, **changes):
            raise type(self).DoesNotExist(f"{self._meta.label_lower} {self.pk} is not there any more")
        for name, value in {**changes, "fence": token}.items():
            setattr(self, name, value)
        return self
