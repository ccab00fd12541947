"""What may be said about a job, and what of it cannot be."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.jobs.errors import Problem

MOST_TAGS, MOST_TAG_LENGTH, MOST_KEY_LENGTH = 20, 100, 255
CONFLICTS = ("reject", "return_existing", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller may say about a job besides its type and payload; None means the type's own value."""

    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    timeout: timedelta | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    unique_key: str | None = None
    on_conflict: str = "reject"
    tags: Sequence[str] = ()
    request_id: str = ""
    job_id: uuid.UUID | None = None


def problems_of(options: Options) -> Iterable[Problem]:
    """Yield what is wrong with the options, each with its pointer."""
    if options.priority is not None and not 0 <= options.priority <= 9:
        yield Problem("/priority", "must be between 0 (first) and 9")
    if options.max_attempts is not None and not 1 <= options.max_attempts <= 1000:
        yield Problem("/max_attempts", "must be between 1 and 1000")
    if options.timeout is not None and not timedelta(0) < options.timeout <= timedelta(days=7):
        yield Problem("/timeout_seconds", "must be above 0 and at most 604800 (a week)")
    if options.delay is not None and options.run_at is not None:
        yield Problem("/run_at", "give either run_at or a delay, not both")
    if options.delay is not None and not timedelta(0) <= options.delay <= timedelta(days=3650):
        yield Problem("/delay_seconds", "must be between 0 and 315360000 (ten years)")
    if options.run_at is not None and options.run_at.tzinfo is None:
        yield Problem("/run_at", "needs a time zone, as in 2030-01-31T09:00:00Z")
    if options.unique_key is not None and not _storable(options.unique_key, MOST_KEY_LENGTH):
        yield Problem("/unique_key", f"must have 1 to {MOST_KEY_LENGTH} characters, none of them NUL")
    if options.on_conflict not in CONFLICTS:
        yield Problem("/on_conflict", f"must be one of {', '.join(CONFLICTS)}")
    if len(options.tags) > MOST_TAGS:
        yield Problem("/tags", f"holds {len(options.tags)} tags: at most {MOST_TAGS}")
    for number, tag in enumerate(options.tags):
        if not _storable(tag, MOST_TAG_LENGTH):
            yield Problem(f"/tags/{number}", f"must have 1 to {MOST_TAG_LENGTH} characters, none of them NUL")


def repeated_keys(jobs: Sequence[Options]) -> Iterable[Problem]:
    """Yield which jobs of one call would be refused for the unique_key of a job before them, whatever is stored.

    A job with an id of its own may be a repeated call's, and is left to what is stored.
    """
    first: dict[str, int] = {}
    for number, options in enumerate(jobs):
        if options.unique_key is None:
            continue
        before = first.setdefault(options.unique_key, number)
        if before != number and options.on_conflict == "reject" and options.job_id is None:
            yield Problem(
                f"/{number}/unique_key",
                f"job {before} of the same call has it too (the first is job 0): give each its own, "
                "or on_conflict return_existing or replace",
            )


def _storable(text: str, most: int) -> bool:
    return 0 < len(text) <= most and "\0" not in text and text.isprintable()
