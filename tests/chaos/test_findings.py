"""The judge of the other cases sees what must not be."""

from dataclasses import fields

import pytest

from core import clock
from core.ids import uuid7
from tests.chaos.run import Findings, Run

pytestmark = pytest.mark.chaos
HARMLESS = {"unfinished", "not_completed"}   # the two that a plain list of rows would show as well


def store(stack, *, attempt=1, fence=7, late_seconds=0):
    """Store a completed job, as it would stand after a run."""
    job_id = uuid7()
    stack.query(
        """
        INSERT INTO job (id, type, queue, priority, status, attempt, max_attempts, failures, rescues, timeout_seconds, fence,
          run_at, created_at, started_at, finished_at, tags, payload, payload_version, request_id)
        VALUES (%(id)s, 'chaos.book', 'chaos', 5, 'completed', %(attempt)s, 5, 0, 0, 60, %(fence)s, now(), now(), now(),
          now() + %(late)s * interval '1 s', '{}', '{}', 1, '')""",
        {"id": job_id, "attempt": attempt, "fence": fence, "late": late_seconds},
    )
    return str(job_id)


def effect(stack, job_id, fence):
    stack.query("INSERT INTO chaos_effect (job_id, fence) VALUES (%s, %s)", [job_id, fence])


def starts(stack, job_id, *fences):
    with stack.events.open("a") as log:
        log.writelines(f"start {job_id} 1 {fence} 1 {clock.elapsed():.6f}\n" for fence in fences)


def test_a_clean_run_has_no_findings(stack):
    stack.clean()
    run = Run(stack, jobs=0)
    run.booking = [job_id := store(stack)]
    effect(stack, job_id, 7)
    starts(stack, job_id, 7)

    assert Findings() == run.findings()


def test_each_thing_that_must_not_be_is_found(stack):
    stack.clean()
    run = Run(stack, jobs=0)
    without, twice, old, often, late = run.booking = [
        store(stack), store(stack), store(stack), store(stack, attempt=2), store(stack, late_seconds=600),
    ]
    for job_id, fences in ((twice, (7, 7)), (old, (5,)), (often, (7,)), (late, (7,))):
        for fence in fences:
            effect(stack, job_id, fence)
    starts(stack, twice, 7)
    starts(stack, old, 7)
    starts(stack, often, 7, 6, 5)   # three starts for two attempts, each under an older fence
    starts(stack, late, 7)
    found = run.findings()

    assert ([without], [without]) == (found.missing_effects, found.never_started)
    assert [(twice, [7, 7])] == found.double_effects
    assert [old] == [job_id for job_id, _ in found.effects_under_an_old_fence if job_id != without]
    assert [often] == [job_id for job_id, _, _ in found.started_more_often_than_charged]
    assert [often] == [each[0].job_id for each in found.started_under_an_old_fence]
    assert [often] == [row[0] for row in found.charged_without_a_claim_at_the_fault]
    assert [late] == [row[0] for row in found.late]
    assert HARMLESS == {each.name for each in fields(found) if not getattr(found, each.name)}
