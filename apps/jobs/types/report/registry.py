"""The reports of this process: names are permanent, because payloads and schedules carry them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import pydantic

from apps.jobs.types.report.tables import Table

if TYPE_CHECKING:
    from apps.jobs.types.report.reading import Snapshot

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
MOST = timedelta(days=366)


class Filters(pydantic.BaseModel):
    """The base of a report's filters: an unknown one is refused, and "1" is not 1."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is asked: moments from `since` up to but not including `until`, shown in `zone`."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    filters: Any
    """An instance of the model that the report was registered with."""


Build = Callable[["Snapshot", Any], Sequence[Table]]
BuildT = TypeVar("BuildT", bound=Callable[..., Sequence[Table]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A registered name with everything that makes its tables."""

    name: str
    title: str
    filters: type[pydantic.BaseModel]
    most: timedelta
    build: Build


_reports: dict[str, Report] = {}


def report(
    name: str, *, title: str, filters: type[pydantic.BaseModel] = Filters, most: timedelta = MOST,
) -> Callable[[BuildT], BuildT]:
    """Register the decorated function under a permanent name; `most` is the longest period that it may be asked for.

    It is called with a `Snapshot` and an `Asked`, and returns tables from overview to detail: CSV, which has room for
    one, holds the last. Their rows are read after it has returned, in their order.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a report: a letter, then letters, digits and _, all lower-case, 60 at most")
    if most <= timedelta(0):
        raise ValueError(f"report {name}: most is the longest period that it may be asked for, above 0")

    def register(build: BuildT) -> BuildT:
        if name in _reports:
            raise ValueError(f"the report {name!r} is registered twice: names are stored in rows, so each needs its own")
        _reports[name] = Report(name=name, title=title, filters=filters, most=most, build=build)
        return build

    return register


def find(name: str) -> Report | None:
    """Return a report, or None when this process does not know it."""
    return _reports.get(name)


def names() -> list[str]:
    """Return all names in order."""
    return sorted(_reports)


def all_reports() -> Iterator[Report]:
    """Yield all reports in the order of their names."""
    return (_reports[name] for name in names())
