from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from apps.jobs.management import stack
from apps.jobs.management.load import Load, Report
from apps.jobs.management.output import PlatformCommand, Refused, listing
from core import clock
from core.management.arguments import document, duration, number

LIVE_SECONDS, DULL_SECONDS = 0.2, 5.0   # how often a line is renewed on a terminal, and elsewhere
WIDTH = 100


class Command(PlatformCommand):
    help = (
        "Enqueue many jobs over HTTP, as its users would, and report latencies; with --poll also how the jobs ended. "
        "Honours a rate limit's Retry-After. For this machine only, unless --yes-remote."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        stack.add_arguments(parser)
        parser.add_argument("--count", type=number(1, 10_000), default=100, help="of jobs; default: 100")
        parser.add_argument("--concurrency", type=number(1, 128), default=8, help="requests at a time; default: 8")
        parser.add_argument("--poll", action="store_true", help="wait until the jobs have ended, and report how")
        parser.add_argument("--type", default="http.request", help="default: http.request")
        parser.add_argument("--payload", type=document, metavar="JSON", help="default: a GET of the stack's own /healthz")
        parser.add_argument("--timeout", type=duration, default=timedelta(minutes=5), help="for everything; default: 5m")
        parser.add_argument("--yes-remote", action="store_true", help="the stack is not on this machine, and may be loaded")

    def act(
        self, *, url: str | None, token: str | None, token_file: Path | None, type: str, payload: Any, timeout: timedelta,  # noqa: A002  the argument's name
        **options: Any,
    ) -> None:
        target = stack.chosen(url=url, token=token, token_file=token_file)
        if not target.is_local and not options["yes_remote"]:
            raise Refused(f"{target.url} is not on this machine: say --yes-remote if it may be loaded")
        if payload is None:
            payload = {"method": "GET", "url": f"{target.url}/healthz"}
        run = Load(
            stack=target, job={"type": type, "payload": payload}, count=options["count"], concurrency=options["concurrency"],
            timeout_seconds=timeout.total_seconds(),
        )
        self._shown_at = 0.0
        live = self.stderr.isatty()
        run.post(watch=self._watch, every_seconds=LIVE_SECONDS if live else DULL_SECONDS)
        if options["poll"] and run.report.accepted:
            run.poll(watch=lambda states: self._line(f"{_counts(states)} of {run.report.accepted}"))
        if live:
            self.note("")
        report = run.report
        self.answer({"url": target.url, "tag": run.tag, **report.facts()}, text=_text(report, tag=run.tag))
        if not report.is_good:
            raise Refused(report.stopped or "not every job was accepted and completed")

    def _watch(self, run: Load) -> None:
        report = run.report
        answered = report.accepted + sum(report.failed.values())
        limited = f", {report.limited} times told to wait" if report.limited else ""
        failed = f", failed {_counts(report.failed)}" if report.failed else ""
        self._line(f"posted {answered} of {report.count}{failed}{limited}", now=answered == report.count)

    def _line(self, text: str, *, now: bool = False) -> None:
        """Renew the line on a terminal; elsewhere print one every few seconds."""
        if self.stderr.isatty():
            self.note(f"\r{text[:WIDTH].ljust(WIDTH)}", ending="")
        elif now or clock.elapsed() - self._shown_at >= DULL_SECONDS:
            self._shown_at = clock.elapsed()
            self.note(text)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def _text(report: Report, *, tag: str) -> str:
    facts: dict[str, object] = {
        "accepted": f"{report.accepted} of {report.count} in {report.seconds:.1f} s",
        "failed": _counts(report.failed),
        "told to wait": report.limited or None,
        "tag": tag,
    }
    if report.latency_ms:
        latency = report.latency_ms
        facts["POST latency"] = f"p50 {latency.p50} ms, p95 {latency.p95} ms, p99 {latency.p99} ms, most {latency.most} ms"
    if report.ends:
        facts["ended"] = f"{_counts(Counter(report.ends.by_status))} in {report.ends.seconds:.1f} s"
        facts["throughput"] = f"{report.ends.per_second:.1f} jobs/s"
    return listing(facts)
