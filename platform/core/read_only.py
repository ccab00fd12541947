"""`READ_ONLY=1`: people and programs may look, and change nothing; the fleet goes on with what is queued.

For a restore, a move or an incident: whoever asks for a change is told why it does not happen.
"""

from django.conf import settings

from core.errors import PlatformError

REASON = "this installation is read-only now (READ_ONLY=1): nothing can be changed until whoever runs it unsets that"


class ReadOnly(PlatformError):
    """A change was asked for while nothing may be changed."""

    def __init__(self) -> None:
        super().__init__(REASON)


def refuse() -> None:
    """Raise `ReadOnly` while nothing may be changed."""
    if settings.READ_ONLY:
        raise ReadOnly
