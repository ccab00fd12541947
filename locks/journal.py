"""Write down what was done to a lock out of the ordinary."""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from locks.asking import Asker
from locks.clock import Clock
from locks.errors import NoAnswer
from locks.events import Event

logger = logging.getLogger("locks")
PATIENCE_SECONDS = 30.0


class Journal:
    """The audit trail. What an operator does is written before it is done; what happens by itself is written beside."""

    def __init__(self, asker: Asker, *, clock: Clock, beside: Callable[[Callable[[], None]], None]) -> None:
        self._asker, self._clock, self._beside = asker, clock, beside

    def write(self, name: str, kind: str, *, token: int, actor: str, reason: str, until: float) -> None:
        """Return when it is kept, else raise NoAnswer."""
        event = Event(
            id=uuid.uuid1(), at=datetime.fromtimestamp(self._clock.wall(), UTC), name=name, kind=kind, token=token,
            actor=actor, reason=reason,
        )
        self._asker.record(event, until=until)

    def note(self, name: str, kind: str, *, token: int, actor: str, reason: str) -> None:
        """Write it without anybody waiting; a store that is away for long costs this entry, and the log has it then."""
        def writing() -> None:
            try:
                self.write(name, kind, token=token, actor=actor, reason=reason, until=self._clock.now() + PATIENCE_SECONDS)
            except NoAnswer as exc:
                logger.warning("locks.journal.lost name=%s kind=%s token=%d why=%s", name, kind, token, exc.why)

        self._beside(writing)
