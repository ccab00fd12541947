"""Claims about what was enqueued. They read the rows of this transaction, whatever has become of the jobs since."""

from apps.jobs import registry, selectors
from apps.jobs.models import Job

SHOWN = 20


def assert_enqueued(
    type_name: str, *, payload: object = None, queue: str | None = None, unique_key: str | None = None,
    count: int | None = None,
) -> list[Job]:
    """Fail unless such jobs were enqueued: one at least, or exactly `count`. Return them, oldest first.

    Of a payload that is an object, only the members that are named here are compared, at any depth.
    """
    found = _matching(type_name, payload=payload, queue=queue, unique_key=unique_key)
    if (not found) if count is None else (len(found) != count):
        wanted = "at least one job" if count is None else f"{count} of the jobs"
        asked = _asked(type_name, payload=payload, queue=queue, unique_key=unique_key)
        raise AssertionError(f"expected {wanted} {asked}, found {len(found)}; {_there()}")
    return found


def refute_enqueued(
    type_name: str, *, payload: object = None, queue: str | None = None, unique_key: str | None = None,
) -> None:
    """Fail if such a job was enqueued."""
    assert_enqueued(type_name, payload=payload, queue=queue, unique_key=unique_key, count=0)


def _matching(type_name: str, *, payload: object, queue: str | None, unique_key: str | None) -> list[Job]:
    registry.get(type_name)   # a misspelt name would make a refutation true
    rows = selectors.jobs().filter(type=type_name).order_by("created_at", "id")
    if queue is not None:
        rows = rows.filter(queue=queue)
    if unique_key is not None:
        rows = rows.filter(unique_key=unique_key)
    return [row for row in rows if payload is None or _within(payload, _opened(row))]


def _opened(row: Job) -> object:
    sealing = registry.get(row.type).sealing
    return row.payload if sealing is None else sealing.opened(row.payload)


def _within(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _within(value, whole[name]) for name, value in part.items())
    return part == whole


def _asked(type_name: str, **wanted: object) -> str:
    return ", ".join([type_name, *(f"{name} {value!r}" for name, value in wanted.items() if value is not None)])


def _there() -> str:
    rows = list(selectors.jobs().order_by("created_at", "id")[: SHOWN + 1])
    lines = [f"  {row.type}  {row.status}  queue {row.queue}  {row.shown_payload!r}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append("  and more")
    return "\n".join(["these jobs are there:", *lines]) if rows else "no job is there at all"
