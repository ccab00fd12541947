"""The loop side of a worker: what it holds of the jobs, from claim to settle. Loop thread only, unless said otherwise."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from celery.worker import state

from apps.jobs import metrics, publishing
from apps.jobs.conf import Config
from apps.jobs.engine import turns
from apps.jobs.engine.board import Word
from apps.jobs.engine.ledger import Answer, Ledger
from apps.jobs.engine.poolside import BOARD
from apps.jobs.engine.request import JobRequest, Message
from apps.jobs.engine.result import error_text
from apps.jobs.engine.stock import PATIENCE_SECONDS, Stock
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions.fetch import Claim
from apps.jobs.transitions.settle import Ending

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Holding:
    """A claim of ours. `request` is None while it waits in the stock; `returning`: given back, the answer is under way."""

    claim: Claim
    since: float
    request: JobRequest | None = None
    returning: bool = False
    cancel_at: float | None = None


class Bookkeeper:
    """Decides what to fetch, hands claimed rows to free slots, and turns their ends into endings."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ledger = Ledger(config, BOARD)
        self.stock = Stock()
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.holdings: dict[str, Holding] = {}
        self.flying: set[JobRequest] = set()     # handed to the pool and not returned by it
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

    def settle(self, request: JobRequest, claim: Claim, ending: Ending) -> None:
        """Take the end of an attempt. Any thread."""
        self.ledger.settle(ending)
        if ending.outcome is not AttemptOutcome.RELEASED:
            metrics.settled(claim.type, ending.outcome.value, ending.seconds)
        if request.handle is not None:   # what is given back before it began frees no slot and measures nothing
            self.stock.ended(ending.seconds)

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

    # What goes out.

    def look(self) -> None:
        """Ask for rows, if it is time to and the lease may be believed."""
        if self.draining or self.ledger.thread is None:
            return
        held = len(self.stock.rows) + max(0, -self.free())
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
                claim = self.stock.rows.popleft()
                holding = self.holdings.get(claim.id)
                if holding is not None and holding.claim.fence == claim.fence and not holding.returning:
                    self._start(claim)
        finally:
            self._handing = False
        if not self.threads:
            turns.write(self.hub, self.pool)
        self.look()

    def _start(self, claim: Claim) -> None:
        message = Message(claim)
        self.handlers[claim.type](message, None, message.done, message.done, [self._begin])

    def _begin(self, request: JobRequest) -> None:
        """Celery has made the request and is about to hand it to the pool."""
        request.since = time.monotonic()
        self.holdings[request.id].request = request
        self.flying.add(request)

    # What the ledger says.

    def take_answers(self) -> None:
        """Apply what the ledger has answered."""
        while self.ledger.answers:
            self._apply(self.ledger.answers.popleft())
        self.hand_over()

    def _apply(self, answer: Answer) -> None:
        for ending in answer.settled:
            holding = self.holdings.get(ending.id)
            if holding is not None and holding.claim.fence == ending.fence:
                del self.holdings[ending.id]
        for job_id, fence in answer.lost:
            self._lose(job_id, fence)
        if answer.replaced:
            self.stock.rows.clear()
            self.holdings = {job_id: each for job_id, each in self.holdings.items() if each.request is not None}
        for wanted, claims in answer.fetched:
            now = time.monotonic()
            self.holdings.update((claim.id, Holding(claim, now)) for claim in claims)
            self.stock.answered(wanted, claims)
            if claims:
                metrics.claimed(wanted.line.queue, len(claims))
        for job_id, fence in answer.cancelled:
            self._cancel(job_id, fence)
        for queue in answer.queues:
            self.serve(queue)
        if self.draining:
            self.give_back()

    def _lose(self, job_id: str, fence: int) -> None:
        """Somebody else has the job, or may have it: end what runs here. What it would write is refused by the fence."""
        holding = self.holdings.get(job_id)
        if holding is None or holding.claim.fence != fence:
            return
        del self.holdings[job_id]
        metrics.lost()
        self.stock.remove({job_id})
        log.warning("job.lease_lost", job_id=job_id, fence=fence)
        request = holding.request
        if request is None:   # refused too, and in the ledger: what a worker held beyond its lease can be seen there
            self.ledger.settle(Ending(id=job_id, fence=fence, outcome=AttemptOutcome.RELEASED))
        if request is None or request.claim is None:
            return
        request.tell(Word.LOST)
        # Told under the old fence, it is refused and stands in the ledger; were the job still ours, it would go back.
        request.end(AttemptOutcome.STOPPED, error=error_text("LeaseLost", "its worker's lease had ended"))
        self._kill(request)

    def _cancel(self, job_id: str, fence: int) -> None:
        holding = self.holdings.get(job_id)
        if holding is None or holding.claim.fence != fence or holding.cancel_at is not None:
            return
        holding.cancel_at = time.monotonic()
        if holding.request is None:
            self._return(holding)   # the settle makes it cancelled
        else:
            holding.request.tell(Word.CANCEL)

    def _kill(self, request: JobRequest) -> None:
        """End the process that runs a request; a thread cannot be ended, it is only told."""
        if not self.threads:
            request.terminate(self.pool, signal.SIGKILL)

    # What goes back.

    def give_back(self, *, older_seconds: float = 0.0) -> set[str]:
        """Return to PostgreSQL what was claimed and has not begun; the queues that it went back to."""
        now = time.monotonic()
        queues = set()
        for holding in list(self.holdings.values()):
            waits = holding.request is None or holding.request.handle is None
            if waits and not holding.returning and now - holding.since >= older_seconds:
                queues.add(holding.claim.queue)
                self._return(holding)
        return queues

    def _return(self, holding: Holding) -> None:
        holding.returning = True
        self.stock.remove({holding.claim.id})
        if holding.request is not None:
            holding.request.end(AttemptOutcome.RELEASED)
            return
        self.ledger.settle(Ending(
            id=holding.claim.id, fence=holding.claim.fence, outcome=AttemptOutcome.RELEASED,
        ))

    def running(self) -> Iterator[JobRequest]:
        """Yield the requests whose claims are still to be settled."""
        for holding in list(self.holdings.values()):
            if holding.request is not None and holding.request.claim is not None:
                yield holding.request

    # What the time brings.

    def tick(self) -> None:
        """Look after what no event announces; twice a second."""
        if not self.threads:
            self.pool.maintain_pool()   # Celery looks once when a child's pipe closes, and then again only after 5 s
        self._enforce_cancellations()
        if self.threads:
            self._enforce_deadlines()
        if self.stock.stuck(self.free()) and self.holdings:
            for queue in self.give_back(older_seconds=PATIENCE_SECONDS):   # somebody else may have a free slot
                publishing.ring(queue)
        self.take_answers()

    def _enforce_cancellations(self) -> None:
        now = time.monotonic()
        for holding in list(self.holdings.values()):
            due = holding.cancel_at is not None and now - holding.cancel_at >= self.config.cancel_grace_seconds
            if due and holding.request is not None and holding.request.claim is not None:
                self._kill(holding.request)

    def _enforce_deadlines(self) -> None:
        """Threads have no time limits of Celery's: the attempt is settled, its slot stays lost until the handler returns."""
        now = time.monotonic()
        for request in self.running():
            if request.claim is not None and request.begun and now - request.since > request.claim.timeout_seconds:
                request.time_out(request.claim.timeout_seconds)

    def lost_slots(self) -> int:
        """Return how many threads run something that was settled without them."""
        return sum(request.claim is None and request.word is not Word.GO_ON for request in tuple(self.flying))

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
