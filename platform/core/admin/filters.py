"""What a list can be narrowed by: choices as links, and moments as a form. Each only reads its own parameters."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.contrib.admin import ListFilter, SimpleListFilter
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from core import clock

SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
LABELS = {"hour": "the last hour", "day": "the last 24 hours", "week": "the last 7 days"}


class Choice(SimpleListFilter):
    """Some values to choose from; the list itself says what choosing one means."""

    values: ClassVar[Callable[[], list[tuple[str, str]]]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002  Django's interface
        found = type(self).values()
        chosen = self.value()
        if chosen and chosen not in {value for value, _ in found}:   # what is in force must be seen
            found = [*found, (chosen, chosen)]
        return found

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:  # noqa: ARG002  as above
        return queryset


def choice(title: str, parameter: str, values: Callable[[], list[tuple[str, str]]]) -> type[Choice]:
    """Return a filter of this name over these values, which are asked for each time."""
    members = {"title": title, "parameter_name": parameter, "values": staticmethod(values)}
    return type(f"By{parameter.title().replace('_', '')}", (Choice,), members)


class Moments(ListFilter):
    """A span of time: its beginning (that moment and later), its end, or one of the usual spans up to now."""

    title = "time (UTC)"
    template = "core/admin/moments.html"
    names: ClassVar[tuple[str, str, str]] = ("after", "before", "since")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.names:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]
        self.others = [(key, value) for key, value in request.GET.items() if key not in {*self.names, "p", "e"}]

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:  # noqa: ARG002  as above
        return queryset

    def choices(self, changelist: Any) -> Iterator[Any]:
        after, before, since = self.names
        used: dict[str, Any] = self.used_parameters
        shown = {name: used.get(name, "") for name in (after, before)}
        yield {
            "form": shown, "others": self.others, "selected": not used,
            "query_string": changelist.get_query_string(remove=[after, before, since]), "display": "Any",
        }
        for name, label in LABELS.items():
            yield {
                "selected": used.get(since) == name, "display": label,
                "query_string": changelist.get_query_string({since: name, after: None, before: None}),
            }


def span(given: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    """Return the beginning and the end that parameters name; raise ValueError for what is no moment."""
    after, before, since = (given.get(name, "") for name in Moments.names)
    begin, end = moment(after), moment(before)
    if since:
        if since not in SINCE:
            msg = f"{since!r} is no span: choose {', '.join(SINCE)}"
            raise ValueError(msg)
        begin = clock.now() - SINCE[since]
    return begin, end


def moment(text: str) -> datetime | None:
    """Return the moment that a field names, in UTC where it names no zone; None for an empty one."""
    if not text:
        return None
    found = parse_datetime(text)
    if found is None:
        msg = f"{text!r} is no moment: write 2026-11-25T18:00"
        raise ValueError(msg)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
