"""Write what was done."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from core.audit.actor import Actor, current, reason_given
from core.audit.models import AuditEntry
from core.observability.request_id import current_request_id

SECRET = re.compile(r"password|secret|digest|authorization|cookie|(?<!_)token$", re.IGNORECASE)
MOST_CHARACTERS = 2_000


def record(
    *,
    action: str,
    target: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> AuditEntry:
    """Write that something was done; call it in the transaction that does it.

    `action` is noun and verb as in `queue.pause`, `target` noun and name as in `queue:mail`. `before` and `after` hold
    what changed, no more: no payload, and a secret's name without its value. Without `actor` it is whoever acts now;
    the reason that `because` was given stands in `after`.
    """
    who = actor or current()
    if reason_given():
        after = {"reason": reason_given(), **(after or {})}
    return AuditEntry.objects.create(
        actor=who.key, actor_name=_storable(who.name), role=who.role, channel=who.channel, address=who.address,
        action=action, target=_storable(target), before=_facts(before), after=_facts(after),
        request_id=current_request_id(),
    )


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return of both what differs."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {name: before.get(name) for name in names}, {name: after.get(name) for name in names}


def _facts(facts: Mapping[str, Any] | None) -> Any:
    if facts is None:
        return None
    plain = json.loads(json.dumps(dict(facts), cls=DjangoJSONEncoder))
    return {name: "(hidden)" if SECRET.search(name) else _cut(value) for name, value in plain.items()}


def _cut(value: Any) -> Any:
    match value:
        case str():
            return _storable(value)
        case dict():
            return {_storable(key): _cut(each) for key, each in value.items()}
        case list():
            return [_cut(each) for each in value]
        case _:
            return value


def _storable(text: str) -> str:
    """Return text that PostgreSQL can hold: what a terminal or a form gave may be anything."""
    shown = text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}… ({len(shown)} characters)"
