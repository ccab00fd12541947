"""What a writer is given: a report's tables on disk, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from apps.jobs.types.report.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A report that has been read; `facts` are what its reader must know to trust it, as pairs of texts."""

    title: str
    facts: Sequence[tuple[str, str]]
    zone: ZoneInfo
    tables: Sequence[Spool]

    def local(self, moment: datetime) -> datetime:
        """Return a moment as the clocks of the report's zone show it."""
        return moment.astimezone(self.zone)
