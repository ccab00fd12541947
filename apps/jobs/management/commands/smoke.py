from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.jobs.management import smoke, stack
from apps.jobs.management.output import PlatformCommand, Refused
from apps.jobs.management.smoke import Checked
from core.management.arguments import duration

MARKS = {True: "✓", False: "✗", None: "-"}


class Command(PlatformCommand):
    help = "Check a running stack from one end to the other by real jobs; exit with 1 when anything does not hold."

    def arguments(self, parser: ArgumentParser) -> None:
        stack.add_arguments(parser)
        parser.add_argument("--call", metavar="URL", help="what the job calls, as the workers see it; default: the stack's /healthz")
        parser.add_argument("--mail", metavar="ADDRESS", default="", help="send a mail there, too; default: none is sent")
        parser.add_argument("--timeout", type=duration, default=timedelta(seconds=60), help="for each job to end; default: 60 s")

    def act(
        self, *, url: str | None, token: str | None, token_file: Path | None, call: str | None, mail: str, timeout: timedelta,
        **_: Any,
    ) -> None:
        target = stack.chosen(url=url, token=token, token_file=token_file)
        run = smoke.Smoke(
            stack=target, call=call or f"{target.url}/healthz", timeout_seconds=timeout.total_seconds(),
            metrics_token=settings.METRICS_TOKEN, mail_to=mail,
        )
        checks: list[Checked] = []
        for checked in run.run():
            checks.append(checked)
            if not self.as_json:
                self._show(checked)
        failed = [checked for checked in checks if checked.holds is False]
        if self.as_json:
            facts = {"url": target.url, "ok": not failed, "checks": [asdict(checked) for checked in checks], "job": run.job or None}
            self.answer(facts, text="")
        if failed:
            raise Refused(f"{len(failed)} of {len(checks)} checks do not hold at {target.url}{_left_out(checks)}")
        if not self.as_json and (left_out := _left_out(checks)):
            self.note(f"{len(checks)} checks{left_out}; the others hold at {target.url}")

    def _show(self, checked: Checked) -> None:
        paint = {True: self.style.SUCCESS, False: self.style.ERROR, None: self.style.WARNING}[checked.holds]
        self.stdout.write(f"{paint(MARKS[checked.holds])} {checked.name:<20}  {checked.detail}")
        self.stdout.flush()


def _left_out(checks: list[Checked]) -> str:
    count = sum(checked.holds is None for checked in checks)
    return f", {count} were not made" if count else ""
