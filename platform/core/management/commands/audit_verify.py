import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.audit import chain


class Command(BaseCommand):
    help = (
        "Verify that no entry of the audit was changed, removed or put in between, and print the head of its chain. "
        "Write that down elsewhere: with --expect it shows later that nothing up to there was written anew. "
        "Exit status: 0 it holds, 1 it does not."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--expect", type=_head, metavar="POSITION:DIGEST", help="a head that was printed earlier")
        parser.add_argument("--json", action="store_true")

    def handle(self, *, expect: tuple[int, str] | None, **options: Any) -> None:
        chain.seal()
        found = chain.verify(expected=expect)
        broken = found.broken or (f"{found.late} entries are old and have no link" if found.late else "")
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(found), "broken": broken}))
        else:
            self.stdout.write(f"{found.links} links hold, {found.unlinked} entries wait for theirs\nhead {found.links}:{found.head}")
        if broken:
            raise CommandError(f"the audit does not hold: {broken}")


def _head(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text, re.ASCII)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no head: copy POSITION:DIGEST as audit_verify printed it")
    return int(found[1]), found[2]
