"""A worker's stand-in for the dispatcher: it watches for beat's sign of life, and works while there is none."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from apps.jobs.scheduling.dispatcher import Config, Dispatcher, pause

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long beat may be silent, and how often to look, in seconds."""

    silence: float = 3.0
    look: float = 1.0
    jitter: float = 0.2


class Understudy:
    """Does a dispatcher's duties each second while beat is silent. Several do no harm; each steps back by itself."""

    def __init__(self, dispatcher: Dispatcher | None = None, patience: Patience | None = None) -> None:
        self.dispatcher = dispatcher or Dispatcher(Config.of_worker())
        self.patience = patience or Patience()
        self.on_stage = False

    def run_once(self) -> bool:
        """Look once, and do the duties if beat is silent; whether it is. Raise psycopg's errors."""
        age = self.dispatcher.beats_age()
        silent = age is None or abs(age) > self.patience.silence   # signed in the future: by a clock that has gone back since
        if silent != self.on_stage:
            self.on_stage = silent
            log.info("understudy.steps_in" if silent else "understudy.steps_back", silent_seconds=age)
        if silent:
            self.dispatcher.run_once()
        return silent

    def run(self, until: Callable[[], bool]) -> None:
        """Look each second until told to stop: a thread of its own does this."""
        try:
            while not until():
                self.dispatcher.survive(self.run_once, rest=lambda seconds: pause(seconds, until))
                spread = self.patience.jitter * self.patience.look
                pause(self.patience.look + random.uniform(-spread, spread), until)  # noqa: S311  spreads load
        finally:
            self.dispatcher.close()
