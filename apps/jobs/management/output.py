"""What all commands of jobs share: the form that all commands have, and which errors of jobs are mistakes of whoever types."""

from typing import ClassVar

from apps.jobs.errors import InvalidJob
from core.errors import PlatformError
from core.management import output
from core.management.output import (
    NotUnderstood,
    Refused,
    age,
    duration,
    in_json,
    listing,
    printable,
    shown,
    table,
)

__all__ = [
    "MutatingCommand", "NotUnderstood", "PlatformCommand", "Refused", "age", "duration", "in_json", "listing", "printable",
    "shown", "table",
]


class PlatformCommand(output.PlatformCommand):
    """A command that answers in a form for people, or with --json in one for machines."""

    mistakes: ClassVar[tuple[type[PlatformError], ...]] = (InvalidJob,)


class MutatingCommand(PlatformCommand, output.MutatingCommand):
    """A command that changes something, or with --dry-run does all of it and takes it back."""
