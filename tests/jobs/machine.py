"""Workers, dispatchers and people who do anything at any time to the same jobs, over connections of their own."""

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from psycopg import Connection

from apps.jobs import selectors
from apps.jobs.lifecycle import FINISHED, UNFINISHED, WAITING, AttemptOutcome, Status
from apps.jobs.models import Job, StaleWrite
from apps.jobs.transitions import cancel, due, heads, pause, presence, prune, rescue, retry, settle
from apps.jobs.transitions.fetch import HEAD, Claim, Position
from apps.jobs.transitions.settle import Ending
from tests.jobs.oracle import Row, Truth, leads_to, legal, rescue_leads_to
from tests.support import factories
from tests.support.factories import CANCELLED, RESCUE_CAP, TYPE

TABLES = "job, job_attempt, job_worker, job_queue, job_stale_write, job_tally"
QUEUES = ("a", "b")
ERROR = json.dumps({"class": "Fault", "message": "of a test", "traceback": ""})
SKEWS = st.sampled_from([timedelta(0), timedelta(days=-1), timedelta(days=1)])

NEVER = uuid.UUID(int=0)

number = st.integers(0, 1000)
queues = st.sampled_from(["a", "a", "a", "b"])
some = st.lists(st.tuples(number, st.sampled_from(AttemptOutcome), st.booleans()), min_size=1, max_size=4)


def one_of(**kinds: tuple[int, dict[str, st.SearchStrategy[Any]]]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Draw one of the things that somebody may do, each as often as its number says, with its arguments.

    One rule for all of them, because Hypothesis leaves out whole rules at random, and then nothing much happens.
    """
    names = [name for name, (often, _) in kinds.items() for _ in range(often)]
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), st.fixed_dictionaries(kinds[name][1])))


ANYTHING = one_of(
    # workers
    starts=(1, {"skew": SKEWS}),
    becomes=(2, {"who": number, "act": st.sampled_from(["silent", "silent", "dead", "stopped", "well"])}),
    fetches=(6, {"who": number, "queue": queues, "limit": st.integers(1, 4), "anew": st.booleans()}),
    settles=(5, {"who": number, "choices": some, "off": st.sampled_from([0] * 8 + [1, -1]), "until": st.booleans()}),
    completes=(3, {"who": number, "pick": number, "commits": st.booleans()}),
    # the dispatcher
    ends_silent_workers=(2, {"late": st.sampled_from([False, False, True])}),
    rescues=(2, {"limit": st.integers(2, 5)}),
    moves_what_is_due=(2, {"passes": st.booleans()}),
    prunes=(1, {}),
    sweeps=(1, {}),
    # people
    enqueues=(4, {
        "queue": queues, "priority": st.sampled_from([0, 5, 9]), "attempts": st.integers(1, 3), "count": st.integers(1, 3),
        "key": st.sampled_from([None, None, "k"]), "later": st.sampled_from([False, False, True]),
        "lock": st.sampled_from([None, None, "x", "x", "y"])}),
    pauses_or_resumes=(1, {"queue": queues, "stops": st.booleans()}),
    acts_on_a_job=(3, {"pick": number, "act": st.sampled_from(["cancel", "retry", "run", "discard"])}),
    holds_a_row_or_lets_it_go=(1, {"pick": number}),
)


@dataclass(slots=True)
class Member:
    """A worker: what it was ever told that it holds, also what it holds no longer."""

    id: uuid.UUID
    execute: Any
    skew: timedelta
    position: Position = HEAD
    told: list[Claim] = field(default_factory=list)
    silent: bool = False
    ended: bool = False


def heads_of(rows: dict[str, Row]) -> Counter[str]:
    """Return how many jobs have the place of each lock's key."""
    return Counter(row["lock_key"] for row in rows.values() if row["lock_key"] and not row["behind"] and not row["finished_at"])


def lines_of(rows: dict[str, Row], *, paused: set[str]) -> set[str]:
    """Return the keys for whose place a ready job stands in line that could be claimed."""
    return {row["lock_key"] for row in rows.values() if row["behind"] and row["status"] == "queued" and row["queue"] not in paused}


class Fleet(RuleBasedStateMachine):
    """All rules may follow each other in any order; after each, everything that must be true is asked."""

    connections: ClassVar[list[Connection[Any]]]

    def __init__(self) -> None:
        super().__init__()
        self.truth, self.members = Truth(), list[Member]()
        self.paused: set[str] = set()
        self.locked: str | None = None
        self.before: dict[str, Row] = {}
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TABLES}")
        for each in self.connections:
            each.execute("DISCARD SEQUENCES")   # as if it were a new one
        self.editor, dispatcher, person, *workers = self.connections
        self.dispatch, self.person = dispatcher.execute, person.execute
        self.lines = [each.execute for each in workers]

    def teardown(self) -> None:
        for each in self.connections:
            each.rollback()

    # Who takes part

    @initialize(skew=SKEWS, count=st.integers(0, 4))
    def somebody_begins(self, skew, count):
        """Begin with two workers, who have claimed something mostly."""
        self.dispatcher_skew = skew
        self.enqueues(queue="a", priority=5, attempts=3, key=None, later=False, count=count, lock=None)
        for who, each in enumerate((timedelta(0), skew)):
            self.before = self.rows()
            self.starts(each)
            self.fetches(who=who, queue="a", limit=1, anew=True)

    @rule(does=ANYTHING)
    def somebody(self, does):
        getattr(self, does[0])(**does[1])

    # What workers do

    def starts(self, skew):
        if sum(not member.ended for member in self.members) == 3:
            return
        execute = self.lines[len(self.members) % len(self.lines)]
        self.members.append(Member(factories.worker(execute=execute, queues=QUEUES), execute, skew))

    def becomes(self, who, act):
        me = self.member(who)
        if act == "well":
            alive = presence.beat(me.execute, worker=me.id, lease_seconds=3600, queues=list(QUEUES)).get()
            assert (not me.ended) == alive
            me.silent = me.silent and me.ended
        elif act == "stopped":
            presence.end(me.execute, worker=me.id, reason="stopped")
            me.ended = True
        else:
            me.silent = True
            self.person("UPDATE job_worker SET lease_until = '2001-01-01' WHERE id = %(id)s", {"id": me.id})
        if act == "dead":   # nothing of what it was told will ever be heard of
            me.told.clear()

    def fetches(self, who, queue, limit, anew):
        me = self.member(who)
        got = factories.claims(
            me.id, execute=me.execute, queue=queue, limit=limit, after=HEAD if anew else me.position)

        assert not got or not (me.ended or queue in self.paused)
        assert {Status.QUEUED.value} >= {self.before[each.id]["status"] for each in got}
        assert self.locked not in {each.id for each in got}
        assert not any(self.before[each.id]["behind"] for each in got), "a job was claimed that stands behind another"
        for each in sorted(got, key=lambda each: each.fence):
            self.truth.claimed(each.id, each.fence)
        me.told += got
        me.position = got[-1].position if got else HEAD

    def settles(self, who, choices, off, until):
        """Settle anything that it was ever told: what it holds, what it has settled, what others hold by now."""
        if not self.tellers():
            return
        me = self.teller(who)
        endings = {}
        for pick, outcome, retries in choices:
            told = self.claim_of(me, pick)
            moment = self.now() + me.skew if until and outcome == AttemptOutcome.SNOOZED else None
            endings.setdefault((told.id, told.fence + off), Ending(
                id=told.id, fence=told.fence + off, outcome=outcome, error=ERROR, until=moment,
                delay_seconds=60.0 if retries or outcome in {AttemptOutcome.SNOOZED, AttemptOutcome.LOCK_BUSY} else None))
        said = settle.settle(me.execute, list(endings.values()), worker=me.id, rescue_cap=RESCUE_CAP).get()

        after, stale, held = self.rows(), set(), set()
        for (job_id, fence), ending in endings.items():
            row = self.before.get(job_id)
            if row is None or row["fence"] != fence:
                stale.add((job_id, fence))
            elif row["status"] == "running" and job_id == self.locked:
                held.add((job_id, fence))
            elif row["status"] == "running":
                assert leads_to(row, ending, has_other=False) == after[job_id]["status"]
                self.truth.ended(job_id, ending.outcome)
                continue
            if row and not any(key[0] == job_id and self.holds(key) for key in endings):
                assert row == after[job_id], "a refused or repeated settle has changed a row"
        assert (stale, held) == (set(said.stale), set(said.held))
        self.truth.refused |= {(*key, me.id) for key in stale}   # a repeated one is told again and kept once

    def completes(self, who, pick, commits):
        """Complete in the handler's own transaction."""
        if not self.tellers():
            return
        me = self.teller(who)
        told = self.claim_of(me, pick)
        if told.id == self.locked:
            return
        key = {"job_id": uuid.UUID(told.id), "fence": told.fence}
        me.execute("BEGIN", {})
        holds = settle.hold(me.execute, **key)
        completes = settle.complete(me.execute, **key, result="1")
        me.execute("COMMIT" if commits else "ROLLBACK", {})

        held = self.holds((told.id, told.fence))
        assert [held, held] == [holds, completes], f"a handler whose attempt holds the job ({held}) was told otherwise"
        if completes and commits:
            self.truth.ended(told.id, AttemptOutcome.COMPLETED)

    # What the dispatcher does

    def ends_silent_workers(self, late):
        now = self.now()
        bound = now + self.dispatcher_skew + (timedelta(seconds=-1) if late else timedelta(minutes=1))
        ended = set(rescue.end_silent_workers(self.dispatch, until=bound).get())

        silent = {member.id for member in self.members if member.silent and not member.ended}
        assert (silent if bound > now else set()) == ended
        for member in self.members:
            member.ended = member.ended or member.id in ended

    def rescues(self, limit):
        gone = {member.id for member in self.members if member.ended}
        lost = {job_id for job_id, row in self.before.items() if row["status"] == "running" and row["worker_id"] in gone}
        rescued = rescue.rescue(self.dispatch, rescue_cap=RESCUE_CAP, limit=limit, error=ERROR).get()

        assert {str(each.id) for each in rescued} <= lost - {self.locked}, "a job was taken from a worker that lives"
        assert len(rescued) == min(limit, len(lost - {self.locked}))
        for each in rescued:
            assert rescue_leads_to(self.before[str(each.id)]) == each.status
            self.truth.ended(str(each.id), AttemptOutcome.WORKER_LOST)

    def moves_what_is_due(self, passes):
        if passes:
            self.person("UPDATE job SET run_at = '2001-01-01' WHERE status IN ('scheduled', 'retrying') AND id <> %(id)s",
                        {"id": uuid.UUID(self.locked) if self.locked else NEVER})
        now, before = self.now(), self.rows()
        due.move(self.dispatch, limit=100).get()

        for job_id, row in self.rows().items():
            waited = before[job_id]["status"] in {"scheduled", "retrying"}
            moves = waited and before[job_id]["run_at"] <= now and job_id != self.locked
            assert not moves or row["status"] == "queued"
            assert not waited or row["status"] == "queued" or row == before[job_id]

    def prunes(self):
        gone = prune.prune_jobs(self.dispatch, keep=timedelta(0), limit=1).get()

        missing = set(self.before) - set(self.rows())
        assert gone == len(missing)
        for job_id in missing:
            del self.truth.stored[job_id]
            self.truth.pruned[self.before[job_id]["status"]] += 1

    def sweeps(self):
        heads.sweep(self.dispatch).get()

        rows = self.rows()
        line = lines_of({job_id: row for job_id, row in rows.items() if job_id != self.locked}, paused=self.paused)
        going = heads_of({
            job_id: row for job_id, row in rows.items()
            if row["status"] != "queued" or row["queue"] not in self.paused or job_id == self.locked
        })
        assert not line - set(going), "a key has jobs in line and no head, or one that cannot be claimed"

    # What people do

    def enqueues(self, *, queue, priority, attempts, key, later, count, lock):
        taken = key and any(row["unique_key"] == key and not row["finished_at"] for row in self.before.values())
        new = [factories.new_job(
            queue=queue, priority=priority, max_attempts=attempts, unique_key=key, delay_seconds=3600.0 * later, lock_key=lock,
        ) for _ in range(count)]
        stored = factories.insert.insert(self.person, new, tags=["[]"] * count).get()

        free = [] if taken else new[:1] if key else new
        assert {job.id for job in free} == set(stored)
        for job in free:
            self.truth.enqueued(str(job.id))

    def pauses_or_resumes(self, queue, stops):
        if stops:
            pause.pause(self.person, name=queue, by="", reason="")
            self.paused.add(queue)
        else:
            assert (queue in self.paused) == pause.resume(self.person, name=queue).get()
            self.paused.discard(queue)

    def acts_on_a_job(self, pick, act):
        if not self.unlocked():
            return
        job_id = self.unlocked()[pick % len(self.unlocked())]
        row, ids = self.before[job_id], [uuid.UUID(job_id)]
        if act == "cancel":
            asked = cancel.cancel(self.person, ids=ids, error=CANCELLED).get()
            assert [row["status"] in WAITING] * (row["status"] in UNFINISHED) == [each.ended for each in asked]
        elif act == "retry" and not self.key_is_taken(job_id):
            moved = retry.retry(self.person, ids=ids, attempts={TYPE: 2}).get()
            assert (row["status"] in FINISHED) == bool(moved)
            if moved:
                self.truth.rescues[job_id] = 0
                assert row["max_attempts"] + 2 == self.rows()[job_id]["max_attempts"]
        elif act in {"run", "discard"}:
            allowed = WAITING if act == "run" else (Status.DEAD_LETTER,)
            assert (row["status"] in allowed) == bool(getattr(retry, act)(self.person, ids=ids).get())

    def holds_a_row_or_lets_it_go(self, pick):
        if self.locked:
            self.editor.execute("ROLLBACK")
            self.locked = None
        elif self.before:
            self.locked = self.unlocked()[pick % len(self.unlocked())]
            self.editor.execute("BEGIN")
            self.editor.execute("SELECT FROM job WHERE id = %s FOR NO KEY UPDATE", [self.locked])

    # What must be true

    @invariant()
    def everything_is_as_it_must_be(self):
        after = self.rows()
        legal(self.before, after)
        self.truth.agrees_with(after)
        for job_id in after:
            if after[job_id] != self.before.get(job_id):
                numbers = [each.number for each in selectors.attempts(uuid.UUID(job_id))]
                assert list(range(1, after[job_id]["attempt"] + 1)) == numbers
        assert all(count == 1 for count in heads_of(after).values()), "two jobs have the place of one key"
        counted = {status.value: self.truth.pruned.get(status.value, 0) for status in Status}
        for row in after.values():
            counted[row["status"]] += 1
        assert counted == selectors.by_status()
        assert self.truth.refused == {
            (str(row.job_id), row.fence, row.worker_id) for row in StaleWrite.objects.all()}
        self.before = after

    # How the rules see the world

    def member(self, who: int) -> Member:
        """Return one of those that live or, one time in eight, any that ever did."""
        alive = [member for member in self.members if not member.ended]
        among = self.members if who % 8 == 7 or not alive else alive
        return among[who % len(among)]

    def tellers(self) -> list[Member]:
        return [member for member in self.members if member.told]

    def teller(self, who: int) -> Member:
        return self.tellers()[who % len(self.tellers())]

    def claim_of(self, me: Member, pick: int) -> Claim:
        """Return anything that a worker was told or, more often, what runs now: under another's fence if there is such."""
        run = [told for told in me.told if told.id in self.truth.holder]
        if pick % 2:
            run = [told for told in run if told.fence != self.truth.holder[told.id]] or run
        among = me.told if pick % 4 == 0 or not run else run
        return among[pick % len(among)]

    def holds(self, key: tuple[str, int]) -> bool:
        row = self.before.get(key[0])
        return bool(row and row["status"] == "running" and row["fence"] == key[1])

    def unlocked(self) -> list[str]:
        return [job_id for job_id in self.truth.stored if job_id != self.locked]

    def key_is_taken(self, job_id: str) -> bool:
        others = [row for each, row in self.before.items() if each != job_id and not row["finished_at"]]
        return bool(self.before[job_id]["unique_key"] and any(row["unique_key"] for row in others))

    def rows(self) -> dict[str, Row]:
        return {str(row["id"]): row for row in Job.objects.values()}

    def now(self) -> datetime:
        moment: datetime = self.person("SELECT clock_timestamp()", {}).fetchall()[0][0]
        return moment
