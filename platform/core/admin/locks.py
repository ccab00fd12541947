"""Named locks: who has which since when, what was done to it, and the end of a grant for admins."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest

from core.admin.filters import choice
from core.admin.lists import Looking, Page
from core.admin.operations import Foreseen, Operation
from core.admin.text import block
from core.api.roles import Role
from core.errors import PlatformError
from core.locking import looking, releasing
from core.locking.errors import LockNotFound, LocksAway
from core.locking.models import Lock, grant_of

RELEASE = Operation(
    name="release", label="Release", needs=Role.ADMIN, done="released",
    about=(
        "The grants below are ended, those and no later ones. Each lock's token rises at once: what their holders still write "
        "is refused by whoever compares tokens. Who cannot compare is not protected: be sure that the holder is gone."
    ),
)
STATES = [("held", "held"), ("free", "not held")]
MOST = 1000   # locks that a list shows; the search narrows it


@admin.register(Lock)
class LockAdmin(Looking):
    list_display = ("name", "state", "token", "holder", "since", "held_for", "renewals", "waiters")
    list_filter = (choice("state", "state", lambda: STATES),)
    filters = frozenset({"state"})
    search_fields = ("pk",)   # the box is shown; what it finds, `page` says
    search_help_text = "How the name begins: payment: or worker:."
    fields = (
        "name", "state", "token", "holder", "since", "held_for", "lease_seconds", "free_in_seconds", "renewals", "waiters",
        "history",
    )
    order = ("name",)
    operations: ClassVar = (RELEASE,)

    def page(self, request: HttpRequest, given: Mapping[str, str], text: str) -> Page:
        """Return those whose names begin so, each as it was a moment ago."""
        held = {"held": True, "free": False}.get(given.get("state", ""))
        try:
            found = looking.everything(prefix=text, held=held, most=MOST)
        except LocksAway as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return Page(rows=[])
        return Page(rows=[Lock.of(each) for each in found], partly=len(found) == MOST)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Lock | None:  # noqa: ARG002  Django's interface
        """Return the lock as it is now, whichever of its grants the address names."""
        grant = grant_of(object_id)
        try:
            return Lock.of(looking.one(grant[0])) if grant is not None else None
        except LockNotFound:
            return None
        except LocksAway as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return None

    def foresee(self, operation: Operation, keys: Sequence[str]) -> Foreseen:  # noqa: ARG002  there is one
        foreseen = Foreseen()
        for key in keys:
            if (grant := grant_of(key)) is None:
                foreseen.refused.append((key, "it names no grant of a lock"))
                continue
            try:
                foreseen.agreed.append(str(Lock.of(releasing.foresee(*grant))))
            except PlatformError as exc:
                foreseen.refused.append((grant[0], str(exc)))
        return foreseen

    def perform(self, operation: Operation, key: str, *, reason: str, **_: Any) -> None:  # noqa: ARG002  as above
        grant = grant_of(key)
        if grant is None:
            raise LockNotFound(key)
        releasing.release(grant[0], token=grant[1], reason=reason)

    @admin.display(description="held for")
    def held_for(self, lock: Lock) -> str:
        return "-" if lock.age_seconds is None else f"{lock.age_seconds:,.0f} s"

    @admin.display(description="history")
    def history(self, lock: Lock) -> str:
        events = looking.history(lock.name)
        if not events:
            return "nothing out of the ordinary"
        return block("\n".join(
            f"{each.at:%Y-%m-%d %H:%M:%S}Z  {each.kind}  token {each.token}  {each.actor}: {each.reason}" for each in events
        ))
