import json
import uuid
from argparse import ArgumentParser
from typing import Any

from apps.jobs import selectors
from apps.jobs.management import facts
from apps.jobs.management.arguments import job_id
from apps.jobs.management.output import PlatformCommand, listing, printable, table

LONG = ("payload", "result", "error")
COLUMNS = {
    "number": "ATTEMPT", "fence": "FENCE", "outcome": "OUTCOME", "started_at": "STARTED AT", "finished_at": "FINISHED AT",
    "worker": "WORKER", "message": "MESSAGE",
}   # fmt: skip


class Command(PlatformCommand):
    help = "Show a job with its payload, its result, its attempts, and why it waits if it does."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=job_id, metavar="ID", help="as jobs_list shows it")

    def act(self, *, id: uuid.UUID, **_: Any) -> None:  # noqa: A002  the argument's name
        job = selectors.job(id)
        why = selectors.why_waiting(job)
        attempts = [facts.of_attempt(attempt) for attempt in selectors.attempts(id)]
        found = facts.of_job(job)
        self.answer({**found, "why_waiting": why or None, "attempts": attempts}, text=_text(found, why, attempts))


def _text(found: dict[str, Any], why: str, attempts: list[dict[str, Any]]) -> str:
    parts = [listing({name: value for name, value in found.items() if name not in LONG} | {"why it waits": why})]
    parts += [f"{name}\n{_indented(found[name])}" for name in LONG if found[name] is not None]
    if attempts:
        rows = [{**attempt, "message": (attempt["error"] or {}).get("message")} for attempt in attempts]
        parts.append(table(rows, columns=COLUMNS))
    return "\n\n".join(parts)


def _indented(value: Any) -> str:
    if isinstance(value, dict) and "traceback" in value:   # an error: read best as Python prints it
        text = f"{value.get('class', '')}: {value.get('message', '')}\n{value['traceback']}".rstrip()
    else:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(f"  {printable(line)}" for line in text.splitlines())
