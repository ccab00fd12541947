"""What commands share: how they answer people and machines, and how they say no.

Exit status: 0 done, 1 refused or not found (nothing was changed), 2 not understood. Nothing asks a question back.
"""

import json
import logging
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, transaction

from core import database
from core.errors import PlatformError
from core.management.operating import operating

TALKATIVE = ("cassandra", "core.locking.vetting")
"""Whoever types a command learns in its answer that a store is away, not from the log of those who ask it."""
EXIT_STATUS = "Exit status: 0 done, 1 refused or not found, 2 not understood."


class Refused(CommandError):
    """The platform said no, or there is nothing of that name."""


class NotUnderstood(CommandError):
    """The input cannot mean anything; the message says what would."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=2)


class PlatformCommand(BaseCommand, ABC):
    """A command that answers in a form for people, or with --json in one for machines.

    Subclasses declare their arguments in `arguments`, work in `act`, and answer through `answer`, once. Errors of the
    platform become one line; anything else is a fault of ours and keeps its traceback.
    """

    requires_system_checks = ()   # nobody who looks for a job waits for a check of the pages
    mistakes: ClassVar[tuple[type[PlatformError], ...]] = ()
    """Errors of the platform that mean that the input makes no sense."""

    def run_from_argv(self, argv: list[str]) -> None:
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        super().run_from_argv(argv)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, epilog=EXIT_STATUS, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.arguments(parser)
        parser.add_argument("--json", action="store_true", dest="as_json", help="answer in JSON")

    def arguments(self, parser: ArgumentParser) -> None:
        """Declare what is the command's own."""

    def handle(self, *_: Any, **options: Any) -> None:
        self.as_json: bool = options.pop("as_json")
        try:
            self.perform(**options)
        except PlatformError as exc:
            raise (NotUnderstood if isinstance(exc, self.mistakes) else Refused)(str(exc)) from exc
        except DatabaseError as exc:
            said = str(exc).strip().splitlines() or [type(exc).__name__]
            raise Refused(printable(database.away(exc) or f"the database refused: {said[0]}")) from exc

    def perform(self, **options: Any) -> None:
        """Do the work as it is meant."""
        self.act(**options)

    @abstractmethod
    def act(self, *args: Any, **options: Any) -> None:
        """Do the work."""

    def answer(self, facts: object, *, text: str) -> None:
        """Print the answer: `facts` for machines, `text` for people."""
        self.stdout.write(in_json(facts) if self.as_json else text)

    def note(self, text: str, *, ending: str = "\n") -> None:
        """Tell people something that is not the answer, and not an error, which is red."""
        if not self.as_json:
            self.stderr.write(text, str, ending)
            self.stderr.flush()


class MutatingCommand(PlatformCommand):
    """A command that changes something, or with --dry-run does all of it and takes it back.

    So a dry run meets every refusal that the real one would meet. Rings go out after the commit, which never comes.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        self.dry_run: bool = options.pop("dry_run")
        super().handle(*args, **options)

    def perform(self, **options: Any) -> None:
        with operating():
            if not self.dry_run:
                super().perform(**options)
                return
            with transaction.atomic():
                super().perform(**options)
                transaction.set_rollback(True)


def in_json(facts: object) -> str:
    """Return facts as JSON: times with their offset."""
    return json.dumps(facts, default=_plain, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    msg = f"{value!r} has no form in JSON"
    raise TypeError(msg)


def table(rows: Iterable[Mapping[str, object]], *, columns: Mapping[str, str]) -> str:
    """Return rows aligned under the titles of `columns` (key → title); numbers stand at the right."""
    rows = list(rows)
    cells = [list(columns.values()), *([shown(row[key]) for key in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    right = [bool(rows) and all(isinstance(row[key], int | float | None) for row in rows) for key in columns]
    lines = (
        "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )
    return "\n".join(lines)


def listing(facts: Mapping[str, object]) -> str:
    """Return facts one below the other, their names aligned; what is absent is left out."""
    present = {name: value for name, value in facts.items() if value not in (None, "", [])}
    width = max((len(name) for name in present), default=0)
    return "\n".join(f"{name.ljust(width)}  {shown(value)}" for name, value in present.items())


def shown(value: object) -> str:
    """Return a value as people read it, on one line."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case float():
            text = f"{value:g}"
        case dict():
            text = in_json(value)
        case list():
            text = ", ".join(map(str, value))
        case _:
            text = str(value)
    return printable(text)


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {below}"
    raise AssertionError


def age(seconds: float | None) -> str:
    """Return how long the oldest of something has waited, if there is any."""
    return "-" if seconds is None else duration(max(0.0, seconds))


def printable(text: str) -> str:
    """Return text without what a terminal would obey: it may come from anybody's job."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
