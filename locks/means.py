"""What one `Locks` shares among its parts."""

from dataclasses import dataclass

from locks.asking import Asker
from locks.canceller import Canceller
from locks.clock import Clock
from locks.journal import Journal
from locks.observer import Observer
from locks.renewal import Keeper
from locks.sights import Sights
from locks.tokens import Tokens
from locks.trust import Trust


@dataclass(frozen=True, kw_only=True)
class Means:
    """Everything that acquiring and holding need, made once a process."""

    asker: Asker
    clock: Clock
    trust: Trust
    observer: Observer
    tokens: Tokens
    sights: Sights
    keeper: Keeper
    canceller: Canceller
    journal: Journal
