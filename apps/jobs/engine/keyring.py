"""The locks of a worker's claims, as its loop thread sees them: asked for after the claim, given back after the settle.

A claim whose lock is asked for lies in no stock. With the lease, its token is written to the row, and only when that is
committed does the claim go on to the stock. A claim that gets none goes back to PostgreSQL uncharged, with the reason, and
keeps the place of its key; so the others of that key ask nobody. The place is passed on after the lock was given back, so
that the next one finds it free.

A lock that another job has is mostly one that is just being given back: its place was passed on between the end of that job
and the release, by whoever enqueued or looked. So it is asked for a few times more at once, and never counts as somebody
else's, for whom a job would be put away.

While the store is away one question at a time is asked, whoever else comes is put off for about as long as the outage has
lasted. Jobs without a lock never come here.
"""

import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from apps.jobs import metrics, registry
from apps.jobs.engine.board import Word
from apps.jobs.engine.locker import Busy, Granted, Locker, Lost, News, Released, Untold, Wanted, owner_of
from apps.jobs.engine.own_lock import OwnLock
from apps.jobs.engine.result import error_text
from apps.jobs.errors import InvalidJob
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.locking import LEASE
from apps.jobs.registry import JobType
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending
from apps.jobs.transitions.token import Note
from locks import Lease

if TYPE_CHECKING:
    from apps.jobs.engine.bookkeeper import Bookkeeper, Holding
    from apps.jobs.engine.request import JobRequest

SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 10.0   # for which a job is put off when its lock is busy
AWAY_SECONDS, LONGEST_AWAY_SECONDS = 1.0, 60.0  # the same when the store is away
WAITERS = 100                                   # claims that may wait here for a lock; more go back to PostgreSQL
MOST_REMEMBERED = 10_000                        # locks that were found busy
UNCOUNTED = 32                                  # claims whose locks are asked for, before they make it fetch less
SLOW_SECONDS = 0.5                              # without an answer, and no more than these are asked for
LOOK_SECONDS = 0.5                              # between two questions of one that waits
BRIEF, BRIEF_SECONDS = 3, 0.02                  # further questions about a lock that a job has; the first pause before one
KEEPING = {AttemptOutcome.RELEASED, AttemptOutcome.STOPPED, AttemptOutcome.LOCK_BUSY, AttemptOutcome.LOCK_LOST}
# Said by the main process of a handler that may not have returned: a thread cannot be ended.
LEFT = {AttemptOutcome.TIMED_OUT, AttemptOutcome.CANCELLED, AttemptOutcome.STOPPED, AttemptOutcome.LOCK_LOST, None}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A claim with its lease; the claim's `lock_token` is the lease's."""

    claim: Claim
    lease: Lease


@dataclass(frozen=True, slots=True)
class Left:
    """A lease whose job was settled while its handler runs on in a thread: it is given back when that returns."""

    request: "JobRequest"
    lease: Lease
    key: str | None


def is_needed(guard: str) -> bool:
    """Return whether any job of this process could need a lock."""
    return guard != "none" or any(each.lock is not None or each.guard for each in registry.all_types())


class Keyring:
    """What is asked for, what is held and what is being given back. Loop thread only."""

    def __init__(self, book: "Bookkeeper", locker: Locker) -> None:
        self.book, self.locker = book, locker
        self.asked: dict[str, tuple[float, Claim]] = {}       # since when, the longest first
        self.held: dict[str, Held] = {}
        self._waiting: dict[str, tuple[float, Wanted]] = {}   # by job: when it asks again
        self._left: list[Left] = []
        self._releasing = 0
        self._busy: dict[str, int] = {}                       # how often in a row a lock was found busy
        self._silent: dict[str, tuple[float, Wanted]] = {}    # by lock: when its holder is dead unless it has renewed it
        self._heard_at = 0.0                                  # when a question was answered last
        self._away_since: float | None = None
        self._away_until = 0.0                                # as far as it is known: nobody may have asked since
        self._probing = False
        self._own = OwnLock(book, locker)

    def start(self) -> None:
        """Begin, once the ledger has; ask for the worker's own lock if it shall have one."""
        self.locker.tell = self.book.ledger.tell
        self._own.start()

    def renew_own(self) -> None:
        """Ask for a lock that stands for the worker's new start, after it was declared dead."""
        own = self._own.take_away()
        if own is not None:
            self._give_back(own, key=None)
        self._own.start()

    def pending(self) -> bool:
        """Return whether a lock is on its way to us or from us."""
        return bool(self.asked or self._releasing or self.locker.news)

    def ahead(self) -> int:
        """Return how many claims are on their way to the stock, as far as they should make it fetch less.

        None while the store does not answer: jobs without a lock are fetched as ever, and others put off.
        """
        return 0 if self._silent_seconds() > SLOW_SECONDS else max(0, len(self.asked) - UNCOUNTED)

    def _silent_seconds(self) -> float:
        """Return how long questions have been waiting and none was answered: many of them take long, a silent store longer."""
        return time.monotonic() - max(self._heard_at, next(iter(self.asked.values()))[0]) if self.asked else 0.0

    def close(self) -> None:
        """Give the worker's own lock back, and renew nothing any more."""
        self._own.close()
        self.locker.close()

    # What the bookkeeper asks.

    def begin(self, claims: list[Claim]) -> list[Claim]:
        """Take claims that need a lock out of the stock and ask for it; return the others."""
        wanted: dict[str, Wanted] = {}
        nameless: dict[str, tuple[Claim, InvalidJob]] = {}
        for claim in claims:
            try:
                found = self._wanted(claim)
            except InvalidJob as exc:
                nameless[claim.id] = claim, exc
            else:
                if found is not None:
                    wanted[claim.id] = found
        if not wanted and not nameless:
            return claims
        self.book.stock.remove({*wanted, *nameless})
        for each in wanted.values():
            self._ask(each)
        for claim, refusal in nameless.values():
            self._end(claim, AttemptOutcome.DISCARDED, "InvalidJob", str(refusal))
        return [claim for claim in claims if claim.id not in wanted and claim.id not in nameless]

    def noted(self, note: Note, *, stands: bool) -> None:
        """Let a claim whose token stands on its row go on; one whose row is somebody's goes back."""
        held = self.held.get(note.id)
        holding = self.book.holdings.get(note.id)
        if held is None or holding is None or held.claim.fence != note.fence or holding.returning:
            return
        holding.claim = held.claim
        if stands and held.lease.remaining():
            self.book.admit(held.claim)
        else:
            self.book.take_back(holding)

    def until(self, claim: Claim) -> float | None:
        """Return until when, on `clock.elapsed`, the handler of a claim may begin; None without a lock."""
        held = self.held.get(claim.id)
        return None if held is None else held.lease.deadline

    def is_usable(self, claim: Claim) -> bool:
        """Return whether the lock of a claim, if it needs one, may still be believed in."""
        held = self.held.get(claim.id)
        return held is None or bool(held.lease.remaining())

    def over(self, holding: "Holding", outcome: AttemptOutcome | None = None) -> None:
        """Give back the lock of a claim that was settled or lost; None: lost, and whoever has it cares for its key."""
        claim, attempt = holding.claim, holding.attempt
        self._waiting.pop(claim.id, None)
        keeps = outcome is None or (outcome in KEEPING and holding.cancel_at is None)   # to be cancelled, it goes to no queue
        key = None if keeps else claim.lock_key
        held = self.held.pop(claim.id, None)
        if held is None:
            if key is not None:
                self.book.ledger.pass_on(key)
        elif self.book.threads and attempt is not None and outcome in LEFT and not attempt.request.gone:
            self._left.append(Left(attempt.request, held.lease, key))
        else:
            self._give_back(held.lease, key=key)

    def tick(self) -> None:
        """Look after what is due at a moment; twice a second. Timers may be forgotten with the connection to the broker."""
        self._own.tick()
        self._ask_again()
        self._give_back_left()
        now = time.monotonic()
        for name, (at, wanted) in list(self._silent.items()):
            if at <= now:
                del self._silent[name]
                self.locker.nudge(wanted)

    # What the locker says.

    def take(self) -> None:
        """Apply the news."""
        while self.locker.news:
            self._apply(self.locker.news.popleft())
        self._give_back_left()

    def _apply(self, news: News) -> None:
        if isinstance(news, Released):
            self._releasing -= 1
            if news.key is not None:
                self.book.ledger.pass_on(news.key)
            return
        claim = news.wanted.claim
        if claim is None:
            unwanted = self._own.heard(news)
            if unwanted is not None:
                self._give_back(unwanted, key=None)
            return
        match news:
            case Granted(lease=lease):
                self._answered(claim, away=False)
                self._granted(news.wanted, claim, lease)
            case Busy():
                self._answered(claim, away=False)
                self._is_busy(news, claim)
            case Untold(why=why, away=away):
                self._answered(claim, away=away)
                if self._is_ours(claim):
                    self._put_off(claim, "LockStoreUnavailable" if away else "LockUnknown", why, seconds=self._outage_seconds())
            case Lost(token=token, why=why):
                self._is_lost(claim, token, why)

    def _answered(self, claim: Claim, *, away: bool) -> None:
        self._heard_at = time.monotonic()
        if claim.id in self.asked and self.asked[claim.id][1] == claim:
            del self.asked[claim.id]
        self._probing = False
        if away:
            self._away_until = self._heard_at
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("locks.away", then="jobs with a lock are put off, others run on")
        elif self._away_since is not None:
            log.info("locks.back", seconds=round(time.monotonic() - self._away_since, 1))
            self._away_since = None

    def _granted(self, wanted: Wanted, claim: Claim, lease: Lease) -> None:
        self._busy.pop(wanted.name, None)
        if not self._is_ours(claim) or self.book.draining:
            self._give_back(lease, key=None)
            return
        self.held[claim.id] = Held(claim._replace(lock_token=lease.token), lease)
        self.book.ledger.note(Note(claim.id, claim.fence, lease.token))

    def _is_busy(self, news: Busy, claim: Claim) -> None:
        wanted, times = news.wanted, self._busy.get(news.wanted.name, 0)
        if not self._is_ours(claim):
            return
        brief = news.by_job and wanted.tries < BRIEF
        if (brief or wanted.on_busy == "wait") and len(self._waiting) < WAITERS:
            pause = BRIEF_SECONDS * 2**wanted.tries if brief else min(LOOK_SECONDS, max(0.02, news.free_in_seconds))
            self._wait(replace(wanted, tries=wanted.tries + 1), seconds=random.uniform(pause / 2, pause))  # noqa: S311  spreads load
            return
        for remembered in (self._busy, self._silent):
            if len(remembered) > MOST_REMEMBERED:
                remembered.clear()
        self._busy[wanted.name] = times + 1
        self._silent.setdefault(wanted.name, (time.monotonic() + news.free_in_seconds, wanted))
        metrics.lock_refused("busy")
        if wanted.on_busy == "discard" and not news.by_job:
            self._end(claim, AttemptOutcome.DISCARDED, "LockHeld", news.why)
        else:
            longest = min(LONGEST_SECONDS, SHORTEST_SECONDS * 2.0 ** min(times, 10), news.free_in_seconds + 0.1)
            self._put_off(claim, "LockHeld", news.why, seconds=longest, counted=True)

    def _wait(self, wanted: Wanted, *, seconds: float) -> None:
        if wanted.claim is not None:
            self._waiting[wanted.claim.id] = time.monotonic() + seconds, wanted
            self.book.hub.call_later(seconds, self._ask_again)

    def _ask_again(self) -> None:
        now = time.monotonic()
        for job_id, (at, wanted) in list(self._waiting.items()):
            if at <= now:
                del self._waiting[job_id]
                if wanted.claim is not None and self._is_ours(wanted.claim) and not self.book.draining:
                    self._ask(wanted)

    def _give_back_left(self) -> None:
        if self._left:
            returned = [each for each in self._left if each.request.gone]
            self._left = [each for each in self._left if each not in returned]
            for each in returned:
                self._give_back(each.lease, key=each.key)

    def _is_lost(self, claim: Claim, token: int, why: str) -> None:
        """End what runs under a lock that is no longer ours: it is told, then ended, and what it settles late is refused."""
        held, holding = self.held.get(claim.id), self.book.holdings.get(claim.id)
        if held is None or holding is None or held.lease.token != token:
            return
        metrics.lock_lost()
        log.warning("job.lock_lost", job_id=claim.id, lock=held.lease.name, token=token, why=why)
        attempt = holding.attempt
        if attempt is None:
            if not holding.returning:
                self.book.take_back(holding)
        elif not attempt.over:
            begun = attempt.request.begun_attempt(attempt)
            attempt.tell(Word.LOST)
            said = f"its lock {held.lease.name!r} with token {token} was lost while it ran: {why}"
            attempt.end(
                AttemptOutcome.LOCK_LOST if begun else AttemptOutcome.RELEASED, error=error_text("LockLost", said) if begun else None,
            )
            self.book.kill(attempt)

    # What it does about them.

    def _wanted(self, claim: Claim) -> Wanted | None:
        known = registry.find(claim.type)
        if known is None:
            return None
        if known.lock is not None:
            name = _name(known, claim) if claim.lock_key is None else claim.lock_key
            if name is not None:
                return Wanted(
                    name=name, lease=known.lock.lease, on_busy=known.lock.on_busy, owner=self._owner(claim), claim=claim,
                )
        elif known.guard or self.book.config.guard == "job":
            return Wanted(name=f"job:{claim.id}", lease=LEASE, on_busy="snooze", owner=self._owner(claim), claim=claim)
        return None

    def _owner(self, claim: Claim) -> str:
        started = self.book.ledger.started
        return owner_of(started.name if started else "worker", claim.id)

    def _ask(self, wanted: Wanted) -> None:
        claim = wanted.claim
        if claim is None:
            return
        if self._away_since is not None and self._probing:
            why = f"the lock store did not answer for {self._away_until - self._away_since:.0f} s, and is being asked again"
            self._put_off(claim, "LockStoreUnavailable", why, seconds=self._outage_seconds())
            return
        if len(self.asked) >= UNCOUNTED and self._silent_seconds() > SLOW_SECONDS:
            why = f"the lock store has not answered for {self._silent_seconds():.1f} s"
            self._put_off(claim, "LockStoreUnavailable", why, seconds=self._outage_seconds())
            return
        self._probing = self._away_since is not None
        self.asked.pop(claim.id, None)   # of an earlier claim, whose answer will be nobody's
        self.asked[claim.id] = time.monotonic(), claim
        self.locker.acquire(wanted)

    def _outage_seconds(self) -> float:
        """Return how long to put a job off: as long as the outage is known to have lasted, which is not until now when nobody
        needed a lock for a while: the store is mostly back then, and the first who asks is about to learn it.
        """
        lasted = 0.0 if self._away_since is None else self._away_until - self._away_since
        return min(LONGEST_AWAY_SECONDS, max(AWAY_SECONDS, lasted))

    def _put_off(self, claim: Claim, error: str, why: str, *, seconds: float, counted: bool = False) -> None:
        if not counted:
            metrics.lock_refused("away" if error == "LockStoreUnavailable" else "unknown")
        delay = random.uniform(0.8, 1.2) * seconds  # noqa: S311  spreads load, keeps no secret
        self._end(claim, AttemptOutcome.LOCK_BUSY, error, why, delay=delay)

    def _end(self, claim: Claim, outcome: AttemptOutcome, error: str, why: str, *, delay: float | None = None) -> None:
        holding = self.book.holdings.get(claim.id)
        if holding is not None:
            holding.returning = True
        self.book.ledger.settle(Ending(
            id=claim.id, fence=claim.fence, outcome=outcome, error=error_text(error, why), delay_seconds=delay,
        ))

    def _is_ours(self, claim: Claim) -> bool:
        holding = self.book.holdings.get(claim.id)
        return holding is not None and holding.claim.fence == claim.fence and not holding.returning

    def _give_back(self, lease: Lease, *, key: str | None) -> None:
        self._releasing += 1
        self.locker.release(lease, key=key)


def _name(job_type: JobType, claim: Claim) -> str | None:
    """Return the lock of a job that was stored before its type had one; None when its payload cannot be read."""
    try:
        return job_type.lock_key(claim.payload)
    except InvalidJob:
        raise
    except Exception:  # noqa: BLE001  a model's own code may raise anything; the handler's process reads it again, and says so
        return None
