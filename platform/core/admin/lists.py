"""Lists of rows to look at, of any length, and pages of one row. Nothing here writes a row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pydantic
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst

from core.admin.operations import Operating
from core.admin.roles import may
from core.api.roles import Role
from core.windows import ForeignPlace, Place, Span, Walk, by_index, text_of

OLDER, NEWER = "after.", "before."


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a list, and how to go on: to what is newer, to what is older."""

    rows: list[Any]
    newer: str = ""
    older: str = ""
    first: bool = True
    partly: bool = False
    """Looking was ended before the page was full: what is older may hold more."""


class KeyedList(ChangeList):
    """Django's list, with pages that begin at a row, in the one order that has an index, and without any count."""

    page: Page

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        super().__init__(request, *args)
        self.title = str(capfirst(self.opts.verbose_name_plural))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:  # noqa: ARG002  Django's interface
        """Read the filters; which rows they mean, the admin of the model says."""
        found = self.get_filters(request)
        self.filter_specs, self.has_filters, _, _, self.has_active_filters = found
        self.clear_all_filters_qs = self.get_query_string(remove=list(self.get_filters_params()))
        return self.root_queryset

    def get_results(self, request: HttpRequest) -> None:
        """Read one page."""
        given = {name: value for name, value in self.get_filters_params(self.params).items() if value}
        looking: Any = self.model_admin
        self.page = looking.page(request, given, self.query.strip())
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)   # alike, so that no sum is shown
        self.paginator = Paginator(self.page.rows, max(1, len(self.page.rows)))
        self.can_show_all = self.multi_page = self.show_full_result_count = False
        self.show_admin_actions = True

    def newer(self) -> str:
        return self.get_query_string({PAGE_VAR: self.page.newer}) if self.page.newer else ""

    def older(self) -> str:
        return self.get_query_string({PAGE_VAR: self.page.older}) if self.page.older else ""


class Looking(Operating, admin.ModelAdmin):  # type: ignore[type-arg]  # Django has no generics at run time
    """Rows to look at. A subclass says in `page` which: all of the few that there are; of many see `Walking`."""

    reads: ClassVar[Role] = Role.VIEWER
    order: ClassVar[tuple[str, ...]] = ("id",)
    filters: ClassVar[frozenset[str]] = frozenset()   # parameters that are known
    change_list_template = "core/admin/list.html"
    change_form_template = "core/admin/detail.html"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    sortable_by = ()
    view_on_site = False
    actions_on_top = True

    class Media:
        css: ClassVar = {"all": ["core/admin.css"]}

    def page(self, request: HttpRequest, given: Mapping[str, str], text: str) -> Page:
        """Return the page of rows that the filters and the search of a request mean."""
        raise NotImplementedError

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        with by_index():   # once for all statements of the filters and of the page
            return super().get_changelist_instance(request)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:  # noqa: ARG002  Django's interface
        return KeyedList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:  # noqa: ARG002  as above
        """Refuse what no filter of ours knows: Django would search any column for it."""
        return lookup in self.filters

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:  # noqa: ARG002  as above
        rows: QuerySet[Any] = self.model._default_manager.all()  # noqa: SLF001  Django's documented way
        return rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fields(request, obj) if self.fields or self.fieldsets else [
            field.name for field in self.opts.concrete_fields
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        given = [name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]]
        return [each for name in given for each in ([name] if isinstance(name, str) else name)]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request, self.reads)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return may(request, self.reads)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002  as above
        return False


class Walking(Looking):
    """Rows to look at of any number, newest first, page by page. A subclass says in `walk` which a filter means, by an index."""

    def walk(self, given: Mapping[str, str], text: str) -> Walk[Any]:
        """Return how the rows are read that the filters and the search mean; raise ValueError for what they cannot mean."""
        raise NotImplementedError

    def page(self, request: HttpRequest, given: Mapping[str, str], text: str) -> Page:
        """Return the page that a request asks for; what it asks wrongly is said, and there are no rows."""
        try:
            _storable([text, *given.values()])
            walk = self.walk(given, text)
            where = request.GET.get(PAGE_VAR, "")
            back = where.startswith(NEWER)
            named = back or where.startswith(OLDER)
            place = walk.read_place(where.partition(".")[2]) if named else None
        except (ValueError, ForeignPlace) as exc:
            self.message_user(request, reason_of(exc), messages.WARNING)
            return Page(rows=[])
        return _page(walk, place, back=back, limit=self.list_per_page)


def _storable(texts: Iterable[str]) -> None:
    if any("\0" in text for text in texts):
        msg = "nothing stored holds a NUL character"
        raise ValueError(msg)


def _page(walk: Walk[Any], place: Place | None, *, back: bool, limit: int) -> Page:
    span: Span[Any] = walk.go(place, limit=limit, back=back)
    if back and span.ended:   # what is newer fits on the first page
        place, back = None, False
        span = walk.go(None, limit=limit)
    rows = span.rows
    ahead = _text(OLDER, walk.place_of(rows[-1]) if rows else place) if back else ""
    behind = _text(NEWER, walk.place_of(rows[0]) if rows else place) if place is not None and not back else ""
    onward = "" if span.ended else _text(NEWER if back else OLDER, span.place)
    return Page(
        rows=rows, newer=onward if back else behind, older=ahead if back else onward, first=place is None,
        partly=not span.ended and len(rows) < limit,
    )


def _text(direction: str, place: Place | None) -> str:
    return direction + text_of(place) if place is not None else ""


def reason_of(exc: Exception) -> str:
    """Return what was wrong with what a list was asked."""
    if isinstance(exc, pydantic.ValidationError):
        return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors(include_url=False))
    return str(exc)
