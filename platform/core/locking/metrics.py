"""What this process counts of named locks: the one place where the library's happenings become numbers.

No label names a lock: names come from payloads, and each would be a series for ever.
"""

import threading

from prometheus_client import Counter, Gauge, Histogram

from locks.answers import Applied, NotDone, Refused, Unknown
from locks.observer import (
    Answered,
    Cancelled,
    Endangered,
    Forced,
    Granted,
    GuessMissed,
    Happening,
    Lost,
    NotHeld,
    Reaped,
    Released,
    Renewed,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LEFT = (0.0, 0.5, 1, 2, 5, 10, 15, 20, 25, 30, 60)

_answers = Counter("latchwork_lock_answers_total", "Answers of the lock store, by change and answer.", ["change", "answer"])
_answer_seconds = Histogram("latchwork_lock_answer_seconds", "Time of one attempt of one change.", ["change"], buckets=_BUCKETS)
_unknown = Counter("latchwork_lock_unknown_total", "Answers that left it unknown what became of a change, by what was said.", ["why"])
_repeats = Counter("latchwork_lock_repeats_total", "Attempts that repeated a change, because nobody knew what became of it.")
_acquires = Counter("latchwork_lock_acquires_total", "Acquires, by how they ended.", ["outcome"])
_acquire_seconds = Histogram(
    "latchwork_lock_acquire_seconds", "From asking for a lock to having it, waiting included.", buckets=_BUCKETS,
)
_questions = Histogram(
    "latchwork_lock_acquire_changes", "Changes that an acquire took; one when nobody is in the way.", buckets=(1, 2, 3, 5, 10, 30),
)
_guesses = Counter(
    "latchwork_lock_guesses_missed_total", "Tokens that were too low: this machine's wall clock is behind others'.",
)
_observed = Histogram(
    "latchwork_lock_takeover_observed_seconds", "How long a holder was watched doing nothing before it was taken over.", buckets=_BUCKETS,
)
_ghosts = Counter(
    "latchwork_lock_ghost_takeovers_total",
    "Takeovers of grants that were never renewed: a holder that died early, or one that was never told that it holds.",
)
_renewals = Counter("latchwork_lock_renewals_total", "Leases that were renewed.")
_renewal_left = Histogram("latchwork_lock_renewal_left_seconds", "What was left of a lease when it was renewed.", buckets=_LEFT)
_endangered = Counter("latchwork_lock_endangered_total", "Leases of which two thirds passed without a renewal.")
_lost = Counter("latchwork_lock_lost_total", "Leases that ended before their holder gave them back.", ["why"])
_released = Counter("latchwork_lock_released_total", "Leases given back, by how that ended.", ["how"])
_release_left = Histogram("latchwork_lock_release_left_seconds", "What was left of a lease when it was given back.", buckets=_LEFT)
_reaped = Counter("latchwork_lock_reaped_total", "Locks freed because nobody had renewed them for a whole lease.")
_cancelled = Counter("latchwork_lock_cancelled_total", "Outcomes that became known after their caller's time.", ["how"])
_forced = Counter("latchwork_lock_forced_total", "Grants that an operator ended, by how that ended.", ["how"])
_held = Gauge("latchwork_lock_held", "Locks that this process holds.", multiprocess_mode="livesum")

CLASSES = {   # as the stores say it, beside names of exceptions; what else they say may hold anything, and is no label
    "no answer in time", "connection lost", "write timeout, undecided", "write timeout, decided", "unavailable to commit",
    "the server does not know", "no host, maybe sent", "not listed yet",
}
ENDED = {"LockHeld": "held", "LockStoreUnavailable": "away", "LockUnknown": "unknown"}


class Counting:
    """The observer of every `Locks` that the platform opens."""

    def __init__(self) -> None:
        self._mine: set[tuple[str, int]] = set()
        self._guard = threading.Lock()
        self.silent = False
        """Count nothing: in a child that was forked while another thread may have been counting, and held a guard for ever."""

    def tell(self, happening: Happening) -> None:
        """Count it."""
        if not self.silent:
            self._count(happening)

    def _count(self, happening: Happening) -> None:
        match happening:
            case Answered():
                _count_answer(happening)
            case Granted(name=name, token=token):
                self._has(name, token)
                _acquires.labels("adopted" if happening.adopted else "taken_over" if happening.victim else "granted").inc()
                _acquire_seconds.observe(happening.waited_seconds)
                _questions.observe(happening.questions)
                _count_takeover(happening)
            case NotHeld(why=why):
                _acquires.labels(ENDED.get(why, why)).inc()
            case GuessMissed():
                _guesses.inc()
            case Renewed(remaining_seconds=left):
                _renewals.inc()
                _renewal_left.observe(max(0.0, left))
            case Endangered():
                _endangered.inc()
            case Lost(name=name, token=token, why=why):
                self._has_not(name, token)
                _lost.labels(why).inc()
            case Released(name=name, token=token, how=how):
                self._has_not(name, token)
                _released.labels(how).inc()
                _release_left.observe(max(0.0, happening.remaining_seconds))
            case Reaped():
                _reaped.inc()
            case Cancelled(how=how):
                _cancelled.labels(how).inc()
            case Forced(how=how):
                _forced.labels(how).inc()

    def _has(self, name: str, token: int) -> None:
        with self._guard:
            self._mine.add((name, token))
            _held.set(len(self._mine))

    def _has_not(self, name: str, token: int) -> None:
        with self._guard:
            self._mine.discard((name, token))
            _held.set(len(self._mine))


def _count_takeover(granted: Granted) -> None:
    if granted.victim is None:
        return
    _observed.observe(granted.observed_seconds)
    if granted.victim_renewals == 0:
        _ghosts.inc()


def _count_answer(answered: Answered) -> None:
    change = type(answered.change).__name__
    match answered.answer:
        case Applied():
            answer = "applied"
        case Refused():
            answer = "refused"
        case NotDone():
            answer = "not_done"
        case Unknown(why):
            answer = "unknown"
            said = why.partition(":")[0]
            _unknown.labels(said if said in CLASSES or said.isidentifier() else "other").inc()
    _answers.labels(change, answer).inc()
    _answer_seconds.labels(change).observe(answered.seconds)
    if answered.number:
        _repeats.inc()


OBSERVER = Counting()
