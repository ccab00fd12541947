"""The loop side of a worker: what it holds of the jobs, from claim to settle. Loop thread only, unless said otherwise."""

import heapq
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from celery.worker import state

from apps.jobs import metrics, publishing
from apps.jobs.conf import Config
from apps.jobs.engine import turns
from apps.jobs.engine.attempt import Attempt
from apps.jobs.engine.batch import Answer
from apps.jobs.engine.board import Word
from apps.jobs.engine.keyring import Keyring, is_needed
from apps.jobs.engine.ledger import Ledger
from apps.jobs.engine.locker import Locker
from apps.jobs.engine.poolside import BOARD, TRAYS
from apps.jobs.engine.request import JobRequest, Message
from apps.jobs.engine.result import error_text
from apps.jobs.engine.shelf import Shelf
from apps.jobs.engine.stock import PATIENCE_SECONDS, Stock
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending
from core.locking.opening import open_locks

HAND_OVER_SECONDS = 0.010     # from the stock to a handler at most, when slots are free
EARLY_PACE_SECONDS = 0.002    # between two looks at what comes due: closer ones would hand over one job each
TOLD_SECONDS = 0.010          # a job of several that has ended is settled within this: what is not waits on the shelf, or runs twice, if we die

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Holding:
    """A claim of ours. `attempt` is None while it waits in the stock; `returning`: given back, the answer is under way."""

    claim: Claim
    since: float
    attempt: Attempt | None = None
    returning: bool = False
    cancel_at: float | None = None


class Bookkeeper:
    """Decides what to fetch, hands claimed rows to free slots, and turns their ends into endings."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ledger = Ledger(config, BOARD)
        self.stock = Stock()
        self.keys = Keyring(self, Locker(open_locks)) if is_needed(config.guard) else None
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.holdings: dict[str, Holding] = {}
        self.early: list[tuple[float, Claim]] = []   # a heap: what was claimed shortly before its moment, and that moment
        self._early_at = math.inf                    # when they are looked at next
        self._told_at = 0.0                          # when the children of several jobs are heard next
        self.flying: set[JobRequest] = set()     # handed to the pool and not returned by it
        self.shelf: Shelf | None = None          # where the trays outlive this process
        self.draining = self._handing = False
        self.threads = False
        self.all_queues = True                   # no -Q was given
        self.consumer: Any = None
        self.pool: Any = None
        self.hub: Any = None

    # What comes in.

    def rung(self, queue: str) -> None:
        """Look at a queue, because a ticket for it came."""
        line = self.stock.lines.get(queue)
        if line is not None:
            line.rung = True
            self.look()

    def settle(self, attempt: Attempt, ending: Ending) -> None:
        """Take the end of an attempt. Any thread."""
        self.ledger.settle(ending)
        if ending.outcome is AttemptOutcome.RELEASED:   # frees no slot and measures nothing
            return
        metrics.settled(attempt.claim.type, ending.outcome.value, ending.seconds)
        self.stock.ended(attempt.claim.type, ending.seconds, alone=len(attempt.request.attempts) == 1)

    def freed(self, request: JobRequest) -> None:
        """Take back the slot of a request that the pool is done with. Any thread."""
        self.flying.discard(request)
        if self.threads:
            self.hub.call_soon(self.hand_over)
        else:
            self.hand_over()

    def free(self) -> int:
        """Return how many slots have nothing of ours."""
        return int(self.pool.num_processes) - len(self.flying)

    def holds(self, job_id: str, fence: int) -> bool:
        """Return whether we hold a job under this fence: it is not settled, and not lost."""
        holding = self.holdings.get(job_id)
        return holding is not None and holding.claim.fence == fence

    # What goes out.

    def look(self) -> None:
        """Ask for rows, if it is time to and the lease may be believed."""
        if self.draining or self.ledger.thread is None or not BOARD.trusted():
            return
        held = len(self.stock.rows) + max(0, -self.free()) + (self.keys.ahead() if self.keys else 0)
        wanted = self.stock.next_fetch(slots=self.pool.num_processes, free=self.free(), held=held)
        if wanted is not None:
            self.ledger.ask(wanted)

    def hand_over(self) -> None:
        """Give claimed rows to free slots, each as a request of its own type that Celery's own handler makes."""
        if self._handing or self.draining or (state.should_stop, state.should_terminate) != (None, None):
            return
        self._handing = True
        try:
            while self.stock.rows and self.free() > 0 and BOARD.trusted():
                claims = [claim for claim in self.stock.take(self.free(), together=TRAYS.left()) if self._is_ours(claim)]
                if claims:
                    self._start(claims)
        finally:
            self._handing = False
        if not self.threads:
            turns.write(self.hub, self.pool)
        self.look()

    def _is_ours(self, claim: Claim) -> bool:
        ours = self.holds(claim.id, claim.fence) and not self.holdings[claim.id].returning
        return ours and (self.keys is None or self.keys.is_usable(claim))

    def _start(self, claims: list[Claim]) -> None:
        message = Message(claims)
        self.handlers[message.task](message, None, message.done, message.done, [self._begin])

    def _begin(self, request: JobRequest) -> None:
        """Celery has made the request and is about to hand it to the pool."""
        request.since = time.monotonic()
        metrics.handed_over(len(request.attempts))
        for attempt in request.attempts:
            self.holdings[attempt.claim.id].attempt = attempt
        self.flying.add(request)
        if request.tells():
            self._listen()

    # What the ledger says.

    def take_answers(self) -> None:
        """Apply what the ledger has answered."""
        while self.ledger.answers:
            self._apply(self.ledger.answers.popleft())
        if self.keys is not None:
            self.keys.take()
        self.hand_over()

    def _apply(self, answer: Answer) -> None:
        self._settled(answer.settled)
        for job_id, fence in answer.lost:
            self._lose(job_id, fence)
        if answer.replaced:
            self.stock.rows.clear()
            self.holdings = {job_id: each for job_id, each in self.holdings.items() if each.attempt is not None}
            if self.keys is not None:
                self.keys.renew_own()
        for wanted in answer.too_slow:
            self.stock.cancelled(wanted)
        for wanted, claims in answer.fetched:
            now = time.monotonic()
            self.holdings.update((claim.id, Holding(claim, now)) for claim in claims)
            self.stock.answered(wanted, claims)
            begin = claims if self.keys is None else self.keys.begin(claims)
            self._hold_back([claim for claim in begin if claim.not_before is not None])
            if claims:
                metrics.claimed(wanted.line.queue, len(claims))
        for job_id, fence in answer.cancelled:
            self._cancel(job_id, fence)
        for queue in answer.queues:
            self.serve(queue)
        if self.keys is not None:
            self._go_on(self.keys, answer)
        if self.draining:
            self.give_back()

    def _settled(self, endings: list[Ending]) -> None:
        for ending in endings:
            holding = self.holdings.get(ending.id)
            if holding is not None and holding.claim.fence == ending.fence:
                del self.holdings[ending.id]
                if self.keys is not None:
                    self.keys.over(holding, ending.outcome)

    def _go_on(self, keys: Keyring, answer: Answer) -> None:
        """Let claims go on that have their lock, and look after the jobs whose turn it is now."""
        for note, stands in answer.noted:
            keys.noted(note, stands=stands)
        for queue, count in answer.ready.items():
            line = self.stock.lines.get(queue)
            if line is not None:
                line.rung = True
            if line is None or count > self.free() or self.draining:
                publishing.ring(queue, count=count)

    def admit(self, claim: Claim) -> None:
        """Take a claim whose lock is had: into the stock, or back until its moment."""
        self.stock.rows.append(claim)
        if claim.not_before is not None:
            self._hold_back([claim])

    def _hold_back(self, early: list[Claim]) -> None:
        """Keep claims out of the stock until shortly before their moments; for the last bit the pool waits itself."""
        if early:
            self.stock.remove({claim.id for claim in early})
            for claim in early:
                heapq.heappush(self.early, ((claim.not_before or 0.0) - HAND_OVER_SECONDS, claim))
            self._wait_for_early()

    def _wait_for_early(self) -> None:
        if self.early and self.early[0][0] < self._early_at:
            self._early_at = self.early[0][0]
            self.hub.call_later(max(EARLY_PACE_SECONDS, self._early_at - time.monotonic()), self._come_due)

    def _come_due(self) -> None:
        """Put claims whose moment is near into the stock, all together, and look again at the next one's."""
        now = time.monotonic()
        while self.early and self.early[0][0] <= now:
            claim = heapq.heappop(self.early)[1]
            if self._is_ours(claim):
                self.stock.rows.append(claim)
        self._early_at = math.inf
        self._wait_for_early()
        if self.stock.rows:
            self.hand_over()

    def _lose(self, job_id: str, fence: int) -> None:
        """Somebody else has the job, or may have it: end what runs here. What it would write is refused by the fence."""
        holding = self.holdings.get(job_id)
        if holding is None or holding.claim.fence != fence:
            return
        del self.holdings[job_id]
        metrics.lost()
        self.stock.remove({job_id})
        log.warning("job.lease_lost", job_id=job_id, fence=fence)
        attempt = holding.attempt
        if attempt is None:   # refused too, and in the ledger: what a worker held beyond its lease can be seen there
            self.ledger.settle(Ending(id=job_id, fence=fence, outcome=AttemptOutcome.RELEASED))
        elif not attempt.over:
            attempt.tell(Word.LOST)
            # Told under the old fence, it is refused and stands in the ledger; were the job still ours, it would go back.
            attempt.end(AttemptOutcome.STOPPED, error=error_text("LeaseLost", "its worker's lease had ended"))
            self.kill(attempt)
        if self.keys is not None:   # no lock is given back before what ran under it was ended
            self.keys.over(holding)

    def _cancel(self, job_id: str, fence: int) -> None:
        holding = self.holdings.get(job_id)
        if holding is None or holding.claim.fence != fence or holding.cancel_at is not None:
            return
        holding.cancel_at = time.monotonic()
        if holding.attempt is None:
            self.take_back(holding)   # the settle makes it cancelled
        else:
            holding.attempt.tell(Word.CANCEL)

    def kill(self, attempt: Attempt) -> None:
        """End the process that runs an attempt, if one does; a thread cannot be ended, it is only told."""
        if not self.threads:
            attempt.request.kill(attempt)

    # What goes back.

    def give_back(self, *, older_seconds: float = 0.0) -> set[str]:
        """Return to PostgreSQL what was claimed and has not begun; the queues that it went back to."""
        now = time.monotonic()
        queues = set()
        for holding in list(self.holdings.values()):
            waits = holding.attempt is None or (not holding.attempt.over and holding.attempt.request.handle is None)
            if waits and not holding.returning and now - holding.since >= older_seconds:
                queues.add(holding.claim.queue)
                self.take_back(holding)
        return queues

    def take_back(self, holding: Holding) -> None:
        """Return a claim that has not begun."""
        holding.returning = True
        self.stock.remove({holding.claim.id})
        if holding.attempt is not None:
            holding.attempt.end(AttemptOutcome.RELEASED)
            return
        self.ledger.settle(Ending(
            id=holding.claim.id, fence=holding.claim.fence, outcome=AttemptOutcome.RELEASED,
        ))

    def restock(self, claims: list[Claim]) -> None:
        """Put claims that were handed over and not begun back to the front of the stock."""
        for claim in reversed(claims):
            holding = self.holdings.get(claim.id)
            if holding is None or holding.claim.fence != claim.fence:
                continue
            holding.attempt = None
            if self.draining or holding.cancel_at is not None:
                self.take_back(holding)
            else:
                self.stock.rows.appendleft(claim)

    def give_back_claims(self, claims: list[Claim]) -> None:
        """Return claims that were handed over and recalled to PostgreSQL: somebody else may have a free slot."""
        for claim in claims:
            holding = self.holdings.get(claim.id)
            if holding is not None and holding.claim.fence == claim.fence:
                holding.attempt = None
                self.take_back(holding)
        for queue in {claim.queue for claim in claims}:
            publishing.ring(queue)

    def unsettled(self) -> bool:
        """Return whether something is on its way that may still change what is ours, or a lock that is."""
        return self.ledger.pending() or (self.keys is not None and self.keys.pending())

    def running(self) -> Iterator[JobRequest]:
        """Yield the requests in which something is still to be settled."""
        for request in tuple(self.flying):
            if not request.over:
                yield request

    # What the time brings.

    def _listen(self) -> None:
        """Hear soon what children tell of the jobs of a hand-over, as long as one may tell more before it returns."""
        now = time.monotonic()
        if now >= self._told_at and any(request.tells() for request in self.running()):
            self._told_at = now + TOLD_SECONDS
            self.hub.call_later(TOLD_SECONDS, self._hear)

    def _hear(self) -> None:
        for request in self.running():
            request.sweep()
        self._listen()

    def tick(self) -> None:
        """Look after what no event announces; twice a second."""
        if not self.threads:
            self.pool.maintain_pool()   # Celery looks once when a child's pipe closes, and then again only after 5 s
        self._hear()   # not by its timer alone: releases of Celery have forgotten timers with the connection
        for request in self.running():
            if not self.threads:
                request.enforce_beginning()
            if self.threads or len(request.attempts) > 1:   # elsewhere Celery does it
                request.enforce_deadline()
        self._enforce_cancellations()
        if self.keys is not None:
            self.keys.tick()
        self._come_due()   # as above
        if self.stock.stuck(self.free()) and self.holdings:
            for queue in self.give_back(older_seconds=PATIENCE_SECONDS):   # somebody else may have a free slot
                publishing.ring(queue)
        self.take_answers()

    def _enforce_cancellations(self) -> None:
        now = time.monotonic()
        for holding in list(self.holdings.values()):
            due = holding.cancel_at is not None and now - holding.cancel_at >= self.config.cancel_grace_seconds
            attempt = holding.attempt
            if due and attempt is not None and not attempt.over:
                self.kill(attempt)

    def lost_slots(self) -> int:
        """Return how many threads run something that was settled without them."""
        return sum(request.is_left() for request in tuple(self.flying))

    # Queues.

    def serve(self, queue: str) -> None:
        """Take rows of a queue whose row has appeared; its tickets too."""
        if queue in self.stock.lines or not self.all_queues:
            return
        self.stock.serve(queue)
        if self.ledger.started is not None:
            self.ledger.started.queues.append(queue)
        if self.consumer is not None:
            self.consumer.add_task_queue(queue, exchange="", routing_key=queue)
