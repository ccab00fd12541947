"""Tokens of what has no row of its own: several rows at once, a message's consumer, a call that comes in."""

from django.db import connections, router

from core.fencing import grants
from core.fencing.errors import StaleToken
from core.fencing.models import ResourceFence

# One statement: who comes second waits for the first one's transaction, and then compares with what that has left.
_ADMIT = """
INSERT INTO resource_fence AS f (resource, fence, raised_at)
SELECT %(resource)s, %(token)s, now() WHERE NOT EXISTS (SELECT FROM resource_fence WHERE resource = 'grant:' || %(token)s::text)
ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence, raised_at = now() WHERE f.fence <= excluded.fence RETURNING fence
"""


def admit(resource: str, token: int) -> None:
    """Let a token in if the resource has seen no higher one and no operator has ended its grant, else raise StaleToken.

    Call it in the transaction that writes, before the first write: the resource then stays with this token until the end
    of the transaction, and a higher one waits for that.
    """
    using = router.db_for_write(ResourceFence)
    connection = connections[using]
    if not connection.in_atomic_block:
        raise RuntimeError("admit() protects the transaction that it is called in, and there is none: use transaction.atomic()")
    with connection.cursor() as cursor:
        cursor.execute(_ADMIT, {"resource": resource, "token": token})
        admitted = cursor.fetchone() is not None
    if not admitted:
        grants.refuse_revoked(token)
        seen = ResourceFence._default_manager.using(using).filter(resource=resource).values_list("fence", flat=True).first()   # noqa: SLF001  Django's public name for it
        raise StaleToken(resource, token=token, seen=seen)
