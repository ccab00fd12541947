"""One call of acquire, from the first question to a lease or an error that says why there is none."""

import contextlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from locks import purging, transition
from locks.answers import Answer, Applied, NotDone, Refused, Unknown
from locks.asking import Question
from locks.changes import Acquire, AcquireExact, Create, Grant, Release, Renew
from locks.errors import LockHeld, LockStoreUnavailable, LockUnknown, NoAnswer, NotGranted
from locks.judging import Step, judge
from locks.lease import Lease
from locks.means import Means
from locks.observer import Granted, GuessMissed, NotHeld
from locks.pace import Pace
from locks.row import Row, State, Version

MANNERS = 0.06       # seconds within which others who wait are likely to look
CANCEL_LEASES = 10   # for so many leases the canceller asks on


@dataclass(frozen=True, slots=True)
class Sent:
    """A token that was asked for."""

    at: float
    """When its first copy was sent: a lease under it counts from here."""
    victim: Version | None
    """Which grant it was to take over."""
    observed_seconds: float
    """For how long that had been watched."""


class Acquisition:
    """Ask for the lock, look at what the refusal shows, ask better.

    One nonce names the call in all that it sends, so that its own late success is recognised.
    """

    def __init__(
        self, means: Means, name: str, *, owner: str, lease_seconds: float, until: float, patient: bool, poll_seconds: float,
    ) -> None:
        self._means, self._name, self._owner, self._seconds, self._until = means, name, owner, lease_seconds, until
        self._patient = patient
        self._nonce = uuid.uuid4()
        self._begun = means.clock.now()
        self._above = 0               # the next token has to be above this
        self._seen = 0                # the highest token that the row was seen with
        self._late: Acquire | None = None    # a cold question of which a copy may still be under way, and could apply
        self._sent: dict[int, Sent] = {}
        self._questions = 0
        self._pace = Pace(longest=poll_seconds)

    def run(self) -> Lease:
        """Return a lease that nobody keeps yet, or raise one of the three errors."""
        try:
            return self._compete()
        except NotGranted as exc:
            told = self._doubtful(exc)
            waited = self._means.clock.now() - self._begun
            why = type(told).__name__
            self._means.observer.tell(NotHeld(name=self._name, nonce=self._nonce, why=why, waited_seconds=waited))
            if told is exc:
                raise
            raise told from exc

    def _doubtful(self, error: NotGranted) -> NotGranted:
        """Return what may be told: while a late copy of a cold question could still apply, "not held" is not certain."""
        if self._late is None or self._late.fence <= self._seen or isinstance(error, LockUnknown):
            return error
        self._means.canceller.watch(self._late, within_seconds=CANCEL_LEASES * self._seconds)
        return LockUnknown(self._name, f"a first question may still be on its way ({error})", nonce=self._nonce)

    def _compete(self) -> Lease:
        following: Grant | Lease = self._approach()
        while not isinstance(following, Lease):
            change = following
            victim = change.seen if isinstance(change, AcquireExact) and change.seen.state == State.HELD else None
            now = self._means.clock.now()
            self._sent[change.fence] = Sent(now, victim, self._means.sights.watched(self._name) if victim else 0.0)
            question = Question(change)
            match self._ask(question):
                case Applied():
                    return self._granted(change.fence, hb=0, adopted=False)
                case Refused(row):
                    if question.doubt and isinstance(change, Acquire):
                        self._late = change
                    following = self._follow(row)
                case Unknown(why):
                    self._means.canceller.finish(question, within_seconds=CANCEL_LEASES * self._seconds)
                    raise LockUnknown(self._name, why, nonce=self._nonce)
                case NotDone(why):
                    raise LockStoreUnavailable(self._name, why, nonce=self._nonce)
            if not isinstance(following, Lease) and self._means.clock.now() >= self._until:
                raise self._beaten(row)
        return following

    def _approach(self) -> Grant | Lease:
        """Ask at once, or make the lock first if it is likely to be a new one; or look first, which disturbs nobody:

        - where others were in the way a moment ago, and after leaving them a chance: else whoever has just released has it
          again before anybody else has looked, and all the others' questions are refused;
        - while it is not known what became of the last question: a store that is away is then known to be away before
          anything is asked whose outcome would be unknown.
        """
        sights, asker = self._means.sights, self._means.asker
        wanted = self._patient and sights.is_wanted(self._name)
        if not wanted and not asker.in_doubt:
            return self._create() if sights.is_likely_new(self._name) else self._cold()
        if wanted:
            self._pace.busy = True
            self._means.clock.sleep(random.uniform(0, MANNERS))   # noqa: S311  as below
        with self._answering():
            row = asker.look(self._name, until=self._until)
        if row is None or row.state != State.HELD:
            self._above = max(self._above, 0 if row is None else row.fence)
            return self._cold()
        self._seen = row.fence
        return self._wait(row)

    def _follow(self, row: Row | None) -> Grant | Lease:
        """Do what a row calls for that surely stood there after our question; return what to ask next, or the lease."""
        step = judge(row, nonce=self._nonce, sent=self._sent)
        if row is None:
            return self._create()
        self._seen = max(self._seen, row.fence)
        match step:
            case Step.ADOPT:
                return self._granted(row.fence, hb=row.hb, adopted=True)
            case Step.FLOOR:
                # read after the row was seen: what was purged before its creation has raised the floor by now
                with self._answering():
                    self._above = max(self._above, self._means.asker.floor(until=self._until))
                return self._exact(row)
            case Step.BURY:
                purging.finish(self._means.asker, self._name, row, until=self._until)
                return self._cold()
            case Step.WAIT:
                return self._wait(row)
        if self._sent and row.fence >= (asked := max(self._sent)):
            self._means.observer.tell(GuessMissed(name=self._name, token=asked, fence=row.fence))
        return self._exact(row)

    def _create(self) -> Grant | Lease:
        create = Create(name=self._name, nonce=uuid.uuid4(), owner=self._owner)
        answer = self._ask(Question(create))
        row = answer.row if isinstance(answer, Refused) else None
        if isinstance(answer, Applied):
            row = transition.effect(create, None)
        return self._cold() if row is None else self._follow(row)    # unknown or gone again: the next answer tells

    def _wait(self, row: Row) -> Grant | Lease:
        """Wait until the lock looks free or its holder dead.

        Looking disturbs nobody, and what it shows may be old: then the change that follows is refused, and nothing is lost.
        """
        clock = self._means.clock
        self._means.sights.wait_for(self._name)
        while (due := self._means.sights.see(self._name, row)) > clock.now():
            nap = min(self._pace.pause(row.fence), due - clock.now() + 0.001)
            if not self._patient or clock.now() + nap >= self._until:
                raise self._held(row, due)
            clock.sleep(nap)
            with self._answering():
                seen = self._means.asker.look(self._name, until=self._until)
                if seen is not None and seen.state == State.HELD and seen.nonce == self._nonce:
                    # our own late copy, or what was left of it a moment ago: let a reading decide
                    return self._follow(self._means.asker.read(self._name, until=self._until))
            if seen is None or seen.state != State.HELD:
                self._above = max(self._above, row.fence, 0 if seen is None else seen.fence)
                return self._cold()
            row = seen
            self._seen = max(self._seen, row.fence)
        return self._exact(row)

    def _granted(self, fence: int, *, hb: int, adopted: bool) -> Lease:
        """Make a lease of a grant, renewed at once when its answer took most of its time."""
        clock, sent = self._means.clock, self._sent[fence]
        counted_from = sent.at
        if self._left(counted_from) < self._seconds / 3:
            # nobody has taken over, the version says so; else the renewal is refused
            question = Question(Renew(name=self._name, fence=fence, nonce=self._nonce, hb=hb))
            until = max(self._until, clock.now() + self._means.asker.store.attempt_seconds)
            answer = self._ask(question, until=until)
            row = answer.row if isinstance(answer, Refused) else None
            own_copy = row is not None and (row.state, row.fence, row.nonce, row.hb) == (State.HELD, fence, self._nonce, hb + 1)
            counted_from, hb = question.sent or counted_from, hb + 1
            if not (isinstance(answer, Applied) or own_copy) or self._left(counted_from) <= 0:
                release = Question(Release(name=self._name, fence=fence, nonce=self._nonce))
                self._means.canceller.finish(release, within_seconds=CANCEL_LEASES * self._seconds)
                raise LockUnknown(self._name, "the lease was over before its answer came", nonce=self._nonce)
        lease = Lease(
            self._means, name=self._name, token=fence, nonce=self._nonce, lease_seconds=self._seconds, sent=counted_from, hb=hb,
        )
        self._means.observer.tell(Granted(
            name=self._name, token=fence, nonce=self._nonce, deadline=lease.deadline,
            waited_seconds=clock.now() - self._begun, questions=self._questions, adopted=adopted,
            victim=sent.victim.nonce if sent.victim else None, victim_renewals=sent.victim.hb if sent.victim else None,
            observed_seconds=sent.observed_seconds,
        ))
        if sent.victim is not None:
            self._means.journal.note(self._name, "taken_over", token=fence, actor=self._owner, reason="not renewed for a whole lease")
        return lease

    def _ask(self, question: Question, *, until: float | None = None) -> Answer:
        self._questions += 1
        answer = self._means.asker.ask(question, until=self._until if until is None else until)
        if self._questions == 1 and isinstance(answer, Applied | Refused):
            existed = answer.row is not None if isinstance(answer, Refused) else not isinstance(question.change, Create)
            self._means.sights.meet(self._name, existed=existed)
        return answer

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except NoAnswer as exc:
            raise LockStoreUnavailable(self._name, exc.why, nonce=self._nonce) from exc

    def _left(self, sent: float) -> float:
        return self._means.trust.held_until(sent=sent, lease_seconds=self._seconds) - self._means.clock.now()

    def _beaten(self, row: Row | None) -> NotGranted:
        """Say why there is no time for a further question although none stood in the way for long."""
        if row is None or not row.fence:
            return LockStoreUnavailable(self._name, "the time was over before the lock's row was made", nonce=self._nonce)
        return self._held(row, self._means.clock.now())

    def _held(self, row: Row, due: float) -> LockHeld:
        return LockHeld(
            self._name, owner=row.owner, token=row.fence, since=row.since,
            free_in_seconds=max(0.0, due - self._means.clock.now()), nonce=self._nonce, holder=row.nonce,
        )

    def _cold(self) -> Acquire:
        fence, since = self._mint(self._above)
        return Acquire(
            name=self._name, fence=fence, nonce=self._nonce, owner=self._owner,
            lease_ms=round(self._seconds * 1000), since_ms=since,
        )

    def _exact(self, row: Row) -> AcquireExact:
        self._above = max(self._above, row.fence)
        fence, since = self._mint(self._above)
        return AcquireExact(
            name=self._name, seen=row.version, fence=fence, nonce=self._nonce, owner=self._owner,
            lease_ms=round(self._seconds * 1000), since_ms=since,
        )

    def _mint(self, above: int) -> tuple[int, int]:
        return self._means.tokens.mint(above=above), round(self._means.clock.wall() * 1000)
