"""Stop and start a queue for the whole fleet. Nothing is sent to anybody: each fetch reads the row."""

from apps.jobs.transitions.statement import Execute, Reply

_PAUSE = """
INSERT INTO job_queue (name, paused_at, paused_by, paused_reason)
VALUES (%(name)s, clock_timestamp(), %(by)s, %(reason)s)
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(job_queue.paused_at, clock_timestamp()),
  paused_by = EXCLUDED.paused_by, paused_reason = EXCLUDED.paused_reason
RETURNING true"""

_RESUME = """
UPDATE job_queue SET paused_at = NULL, paused_by = '', paused_reason = ''
WHERE name = %(name)s AND paused_at IS NOT NULL RETURNING true"""


def pause(execute: Execute, *, name: str, by: str, reason: str) -> None:
    """Pause a queue: what runs goes on, nothing more is claimed from it or rung for it."""
    execute(_PAUSE, {"name": name, "by": by, "reason": reason})


def resume(execute: Execute, *, name: str) -> Reply[bool]:
    """Resume a queue; False when it was not paused. Ring it after the commit."""
    return Reply(execute(_RESUME, {"name": name}), bool)
