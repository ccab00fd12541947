"""The one database thread of a worker: it alone owns the connection, and does what has gathered in one commit."""

import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import psycopg
import structlog
from psycopg import errors

from apps.jobs import metrics
from apps.jobs.conf import Config
from apps.jobs.engine.batch import Answer, Batch
from apps.jobs.engine.board import Board
from apps.jobs.engine.identity import known_types
from apps.jobs.engine.refusal import about_a_value
from apps.jobs.engine.result import error_text
from apps.jobs.engine.stock import Fetch
from apps.jobs.lifecycle import AttemptOutcome
from apps.jobs.transitions import fetch, heads, presence, settle, token
from apps.jobs.transitions.connection import TRANSACTION_SECONDS, connect
from apps.jobs.transitions.direct import straight
from apps.jobs.transitions.presence import Held, Start
from apps.jobs.transitions.settle import Ending, Settled
from apps.jobs.transitions.statement import Execute, Reply
from apps.jobs.transitions.token import Note
from core import clock
from core.ids import uuid7

MOST = 256                  # endings of one commit
BUSY = 4                    # held jobs from which it gathers
GATHER_SECONDS = 0.003
ROLL_SECONDS = 1.0          # a cancellation is heard within this time
ROLL_REST = 2               # times as long as such a look took: it reads what died, while a transaction holds back vacuum
QUEUES_SECONDS = 5.0        # a new queue's row is seen within this time
STANDS_SECONDS = 60.0       # without taking an answer, and the loop is no longer alive: neither is the worker
STANDS_PAUSE_SECONDS = 1.0
HELD_AGAIN_SECONDS = 0.1    # an ending whose row somebody holds is tried again
# A queue's table has no statistics that stay true for long, and each statement here is a look into an index.
PLANNER = "-c enable_seqscan=off -c enable_bitmapscan=off"

Locks = tuple[Reply[set[tuple[str, int]]], Reply[heads.Ready]]
log = structlog.get_logger(__name__)


class Ledger:
    """Any thread puts work into the queues; `tell` is called when an answer lies in `answers`."""

    def __init__(self, config: Config, board: Board) -> None:
        self.config, self.board = config, board
        self.endings: deque[Ending] = deque()
        self.fetches: deque[Fetch] = deque()
        self.notes: deque[Note] = deque()
        self.keys: deque[str] = deque()                 # of locks that were given back
        self.guard_token: int | None = None             # of the lock that stands for this worker
        self.answers: deque[Answer] = deque()
        self._kick: SimpleQueue[None] = SimpleQueue()   # its put() is reentrant: a cold stop settles in a signal handler
        self._later: list[tuple[float, Ending]] = []
        self._mine: dict[str, int] = {}                 # what was claimed and is not settled, as this thread knows it
        self.life = 0                                   # one more each time that the worker was declared dead
        self._has_row = False                           # this life, in the database
        self._beat_at = self._roll_at = self._roll_rest = self._queues_at = 0.0
        self._announce_stop = False
        self._oldest_at = 0.0                           # when the oldest of the answers was given
        self._connection: psycopg.Connection[Any] | None = None
        self.busy = self.closing = False
        self.thread: Thread | None = None
        self.started: Start | None = None
        self.tell: Callable[[], None] = lambda: None
        self.sign: Callable[[uuid.UUID], None] = lambda _: None   # told the id of each row that is ours, before it is there

    # Any thread.

    def start(self, facts: Start, tell: Callable[[], None]) -> None:
        """Begin under a new row. Call it after the pool's first fork."""
        self.started, self.tell = facts, tell
        self.thread = Thread(target=self._run, daemon=True, name="ledger")
        self.thread.start()

    def settle(self, ending: Ending) -> None:
        self.endings.append(ending)
        self._kick.put(None)

    def ask(self, wanted: Fetch) -> None:
        self.fetches.append(wanted)
        self._kick.put(None)

    def note(self, note: Note) -> None:
        """Write the token of a claim to its row; the answer says whether it stands there."""
        self.notes.append(note)
        self._kick.put(None)

    def pass_on(self, key: str) -> None:
        """Give the place of a lock's key to the next in line."""
        self.keys.append(key)
        self._kick.put(None)

    def announce_stop(self) -> None:
        self._announce_stop = True
        self._kick.put(None)

    def close(self) -> None:
        """End the thread after what is queued."""
        self.closing = True
        self._kick.put(None)

    def pending(self) -> bool:
        """Return whether something is on its way that may still change what is ours."""
        return self.owes() or bool(self.answers or self.notes or self.keys)

    def owes(self) -> bool:
        """Return whether the database has still to be told of an end."""
        return bool(self.busy or self.endings or self._later)

    # The database thread.

    def _run(self) -> None:
        longest = min(1.0, self.config.lease_seconds / 8)
        pause, again = 0.05, None
        while True:
            if again is None:
                self._wait()
            self.busy = True
            batch = again or self._gathered()
            if batch:
                since = clock.elapsed()
                try:
                    answer = self._commit(batch)
                except Exception as exc:  # noqa: BLE001  a thread that ends would leave a worker that only seems to live
                    again = self._after(exc, batch, seconds=clock.elapsed() - since) or None   # it may have nothing left
                    if self.closing and self._connection is None and pause >= longest:
                        return   # stopping, and the database is away: the lease ends what we could not
                    time.sleep(pause)
                    pause = min(2 * pause, longest)
                    continue
                pause, again = 0.05, None
                metrics.committed()
                self._say(answer)
            self.busy = False
            if self.closing and not (self.endings or self._later or self.keys):
                self._end()
                return

    def _wait(self) -> None:
        """Wait for work or for what is due. Under load gather a little more; when idle act at once."""
        if not (self.endings or self.fetches or self.notes or self.keys or self._announce_stop or self.closing):
            due = min([self._beat_at if self.board.trusted() or self._stands() else 0.0, self._roll_at, self._queues_at, *(at for at, _ in self._later)])
            try:
                self._kick.get(timeout=max(0.0, due - time.monotonic()))
            except Empty:
                return
        if len(self._mine) > BUSY and not self.closing:   # not by the last batch's size: small ones would stay small
            time.sleep(GATHER_SECONDS)
        while not self._kick.empty():
            self._kick.get_nowait()

    def _gathered(self) -> Batch:
        now = time.monotonic()
        ready = [ending for at, ending in self._later if at <= now]
        self._later = [(at, ending) for at, ending in self._later if at > now]
        while self.endings and len(ready) < MOST:
            ready.append(self.endings.popleft())
        fetches = [self.fetches.popleft()] if self.fetches else []
        announce, self._announce_stop = self._announce_stop, False
        # Also once the lease is not believed any more: this clock stands still in a suspended machine, and that one does not.
        beat, queues = now >= self._beat_at or not self.board.trusted(), now >= self._queues_at
        if beat and self._stands():   # others shall have what it holds; once it moves again it is told
            log.error("worker.stands", seconds=round(now - self._oldest_at, 1), then="its lease is not renewed")
            beat, self._beat_at = False, now + STANDS_PAUSE_SECONDS
        roll = now >= self._roll_at and (beat or bool(self._mine))   # with a heartbeat also where nothing is known to be held
        if beat:
            self._beat_at = now + self.config.heartbeat_seconds
        if queues:
            self._queues_at = now + QUEUES_SECONDS
        if now >= self._roll_at:
            self._roll_at = now + ROLL_SECONDS
        batch = Batch(ready, fetches, beat=beat, roll=roll, queues=queues, stopping=announce)
        while self.notes:
            batch.notes.append(self.notes.popleft())
        while self.keys:
            batch.keys.add(self.keys.popleft())
        return batch

    def _say(self, answer: Answer) -> None:
        if not self.answers:
            self._oldest_at = time.monotonic()
        self.answers.append(answer)
        self.tell()

    def _stands(self) -> bool:
        """Return whether the loop thread takes no answers: nothing is begun, settled or told there."""
        return bool(self.answers) and time.monotonic() - self._oldest_at > STANDS_SECONDS

    def _commit(self, batch: Batch) -> Answer:
        connection = self._connected()
        alone, worker = batch.only_asks(), self._worker   # a free slot waits for it: the shortest way
        execute = straight(connection) if alone else connection.execute
        settled = alive = roll = over = queues = None
        fetched = []
        asked_at = clock.elapsed()
        with nullcontext() if alone else connection.pipeline():
            if batch.endings:
                settled = settle.settle(execute, batch.endings, worker=worker, rescue_cap=self.config.rescue_cap)
            locks = _send_of_locks(execute, batch)
            if batch.beat:
                alive = presence.beat(
                    execute, worker=worker, lease_seconds=self.config.lease_seconds, queues=self._serves(),
                )
            if batch.roll:
                roll = presence.roll(execute, worker=worker)
                over = presence.ended(execute, worker=worker, ids=list(self._mine))
            if batch.queues:
                queues = presence.queues(execute)
            if batch.stopping:
                presence.stopping(execute, worker=worker)
            fetched = [
                (each, fetch.fetch(
                    execute, worker=worker, queue=each.line.queue, types=known_types(), limit=each.limit, after=each.after,
                    token=self.guard_token, life=self.life,
                ))
                for each in batch.fetches
            ]
        if batch.roll:
            # Twice as long as before at most, as in the stock: one stall of the database is no habit.
            self._roll_rest = min(ROLL_REST * (clock.elapsed() - asked_at), max(ROLL_SECONDS, 2 * self._roll_rest))
            self._roll_at = max(self._roll_at, time.monotonic() + self._roll_rest)
        answer = Answer(queues=queues.get() if queues else [])
        if locks:
            _read_of_locks(batch, locks, answer)
        if settled:
            self._note_settled(batch.endings, settled.get(), answer)
        if roll and over:
            self._compare(roll.get(), over.get(), answer)
        for each, reply in fetched:
            claims = reply.get()
            self._mine.update((claim.id, claim.fence) for claim in claims)
            answer.fetched.append((each, claims))
        if alive:
            self._note_beat(asked_at, answer, alive=alive.get())
        metrics.holds(len(self._mine))
        return answer

    def _connected(self) -> psycopg.Connection[Any]:
        if self.started is None:
            raise RuntimeError("the ledger was not started")
        if self._connection is None:
            self._connection = connect(
                f"latchwork {self.started.name}", transaction_timeout_seconds=TRANSACTION_SECONDS, planner=PLANNER,
            )
        if not self._has_row:   # once in a life: where the row has gone since, it had ended, and the heartbeat says so
            self.sign(self.started.id)
            presence.start(self._connection.execute, self.started, lease_seconds=self.config.lease_seconds)
            self._has_row = True
        return self._connection

    @property
    def _worker(self) -> uuid.UUID:
        if self.started is None:
            raise RuntimeError("the ledger was not started")
        return self.started.id

    def _serves(self) -> list[str]:
        return self.started.queues if self.started else []

    def _note_settled(self, endings: list[Ending], said: Settled, answer: Answer) -> None:
        held = set(said.held)
        again = time.monotonic() + HELD_AGAIN_SECONDS
        for ending in endings:
            if (ending.id, ending.fence) in held:
                self._later.append((again, ending))
                continue
            if self._mine.get(ending.id) == ending.fence:
                del self._mine[ending.id]
            answer.settled.append(ending)
        if said.stale:
            metrics.refused(len(said.stale))
            for job_id, fence in said.stale:
                log.warning("job.fenced_out", job_id=job_id, fence=fence)

    def _compare(self, held: list[Held], over: set[tuple[str, int]], answer: Answer) -> None:
        """Compare the database's list of our jobs with our own: give back strangers, let go of what was taken.

        What its handler has completed in its own transaction is `over`, not taken: it may still have work to do.
        """
        listed = {each.id: each for each in held}
        for each in held:
            if self._mine.get(each.id) != each.fence:   # claimed by a commit whose reply was lost
                log.warning("job.stranger", job_id=each.id, fence=each.fence)
                self.endings.append(Ending(id=each.id, fence=each.fence, outcome=AttemptOutcome.RELEASED))
            elif each.cancel:
                answer.cancelled.append((each.id, each.fence))
        pending = {(ending.id, ending.fence) for _, ending in self._later}
        pending |= {(ending.id, ending.fence) for ending in tuple(self.endings)}
        for job_id, fence in list(self._mine.items()):
            found = listed.get(job_id)
            if (found is None or found.fence != fence) and (job_id, fence) not in pending | over:
                del self._mine[job_id]
                answer.lost.append((job_id, fence))

    def _note_beat(self, asked_at: float, answer: Answer, *, alive: bool) -> None:
        if alive:
            self.board.trust_until(asked_at + self.config.lease_seconds - self.config.margin_seconds)
            return
        log.error("worker.declared_dead", worker=str(self._worker), held=len(self._mine))
        answer.replaced = True
        self.board.trust_until(0.0)
        self.life += 1
        self.board.live(self.life)
        answer.lost += self._mine.items()
        answer.fetched = [(each, []) for each, _ in answer.fetched]
        self._mine.clear()
        if self.started is not None:
            self.started = replace(self.started, id=uuid7())
        self._has_row = False   # the next commit makes it: nothing may keep this answer from being given
        self._beat_at = 0.0

    def _after(self, exc: Exception, batch: Batch, *, seconds: float = 0.0) -> Batch:
        """Return the batch to send again. A lost connection: the same. A refused value, a look that is too slow: without it."""
        log.warning("ledger.failed", error=f"{type(exc).__name__}: {exc}".strip().splitlines()[0])
        if about_a_value(exc) and batch.endings:   # so nothing was committed, and nothing is unknown
            self._drop_connection()   # it believes to have prepared what the failed pipeline has skipped
            batch.endings = [left for ending in batch.endings if (left := self._unsettled(ending))]
        elif isinstance(exc, errors.QueryCanceled) and (batch.fetches or batch.roll):   # so nothing was committed here too
            self._drop_connection()   # as above
            self._lighten(batch)
        else:
            self._drop_connection()
            if seconds > TRANSACTION_SECONDS / 2 and batch.fetches:   # the server may have ended the transaction by its age
                self._say(Answer(fetched=[(each, []) for each in batch.fetches]))
                batch.fetches = []
            batch.beat = batch.roll = True   # it may have been done, and then we hold what we do not know
        return batch

    def _lighten(self, batch: Batch) -> None:
        """Leave out what reads through dead rows and so took too long: no ending and no heartbeat waits for it."""
        if batch.fetches:
            self._say(Answer(too_slow=batch.fetches))
            batch.fetches = []
        else:
            batch.roll = False

    def _unsettled(self, ending: Ending) -> Ending | None:
        """Settle an ending alone; what is left to send: as failed the one that is refused, so that nobody else waits."""
        try:
            self._say(self._commit(Batch([ending], [], beat=False, roll=False, queues=False)))
        except Exception as exc:  # noqa: BLE001  as above
            self._drop_connection()   # as above
            if not about_a_value(exc):
                self._beat_at = self._roll_at = 0.0   # it may have been done: ask at once what we hold
                return ending
            log.warning("job.unstorable", job_id=ending.id, error=type(exc).__name__)
            error = error_text("UnstorableResult", f"PostgreSQL refused the result or the error text: {type(exc).__name__}")
            return ending._replace(outcome=AttemptOutcome.FAILED, result=None, error=error, delay_seconds=None)
        return None

    def _drop_connection(self) -> None:
        if self._connection is not None:
            metrics.reconnected()
            self._connection.close()
            self._connection = None

    def _end(self) -> None:
        if self._connection is not None and self.started is not None:
            try:
                presence.end(self._connection.execute, worker=self.started.id, reason="stopped")
                self._connection.close()
            except psycopg.Error as exc:
                log.warning("ledger.failed", error=f"{type(exc).__name__}")


def _send_of_locks(execute: Execute, batch: Batch) -> Locks | None:
    if batch.notes or batch.keys:
        return token.note(execute, batch.notes), heads.pass_on(execute, batch.keys)
    return None


def _read_of_locks(batch: Batch, locks: Locks, answer: Answer) -> None:
    noted, passed_on = locks
    stand, answer.ready = noted.get(), passed_on.get()
    answer.noted = [(note, (note.id, note.fence) in stand) for note in batch.notes]
