"""Grants that an operator has ended, known to this database at once.

A resource learns of a new holder when that one writes. An operator who ends a grant may not wait for that: there may be no
new holder, and the ousted one is alive. So the token itself is written down here, and whoever writes rows of this database
under it is refused from that commit on.
"""

from django.db import connections, router
from django.db.models import Exists

from core.fencing.errors import StaleToken
from core.fencing.models import ResourceFence

# Tokens count microseconds: that of another lock is the same once in a very long time, and then costs that holder its grant.
_REVOKE = """
INSERT INTO resource_fence (resource, fence, raised_at) VALUES (%(resource)s, %(fence)s, now()) ON CONFLICT (resource) DO NOTHING
"""


def revoke(token: int) -> None:
    """Refuse whatever is written under this token from the commit of this on."""
    with connections[router.db_for_write(ResourceFence)].cursor() as cursor:
        cursor.execute(_REVOKE, {"resource": _name(token), "fence": token + 1})


def revoked(token: int) -> Exists:
    """Return the condition that a token was revoked, for a statement of this database."""
    return Exists(ResourceFence._default_manager.filter(resource=_name(token)))   # noqa: SLF001  Django's public name for it


def refuse_revoked(token: int) -> None:
    """Raise StaleToken if the token was revoked."""
    using = router.db_for_write(ResourceFence)
    if ResourceFence._default_manager.using(using).filter(resource=_name(token)).exists():   # noqa: SLF001  as above
        raise StaleToken(f"the grant with token {token}, which was ended by an operator,", token=token, seen=token + 1)


def _name(token: int) -> str:
    return f"grant:{token}"
