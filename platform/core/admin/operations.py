"""Operations on chosen rows: a role, a page that says beforehand what would happen, a reason, and a service that does it.

The first POST of a list shows the page and changes nothing; the second, with `confirm` and a reason, acts. The service
decides row by row, under its lock, whatever the page has said: of two people who press at once, one is told of the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import ngettext

from core import audit, read_only
from core.admin.roles import may
from core.api.roles import Role
from core.audit import LONGEST_REASON
from core.errors import PlatformError

MOST = 200          # rows that one confirmation takes; more go by a bulk action
MOST_SAID = 10      # refusals that are told one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that may be done to rows of a list."""

    name: str
    label: str
    needs: Role
    done: str      # what one says of rows afterwards: "queued again"
    about: str     # what it means, for the page that asks
    wants_reason: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What an operation would do now: the rows that it would act on, and those it would refuse, with the reason."""

    agreed: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


class Operating:
    """The part of a list's admin that acts. A subclass names `operations`, and says how one row is foreseen and done."""

    operations: ClassVar[tuple[Operation, ...]] = ()

    def foresee(self, operation: Operation, keys: Sequence[str]) -> Foreseen:
        """Say what would become of these rows, without touching them."""
        raise NotImplementedError

    def perform(self, operation: Operation, key: str, *, reason: str, by: str) -> None:
        """Do it to one row through a service, or raise the service's error. The audit is told the reason anyway."""
        raise NotImplementedError

    def permitted(self, request: HttpRequest) -> list[Operation]:
        """Return what whoever asks may do here."""
        return [each for each in self.operations if may(request, each.needs)]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {each.name: (None, each.name, each.label) for each in self.permitted(request)}

    def get_action_choices(self, request: HttpRequest, default_choices: Any = None) -> list[tuple[str, str]]:  # noqa: ARG002  Django's interface
        return [("", "What to do with the chosen"), *((each.name, each.label) for each in self.permitted(request))]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, or do with its rows what is asked."""
        if request.method == "POST":
            return self._operate(request)
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]  # of ModelAdmin
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row, with a button for each operation."""
        more = {"operations": self.permitted(request), "list_address": _list_address(self), **(extra_context or {})}
        response: HttpResponse = super().change_view(request, object_id, form_url, more)  # type: ignore[misc]  # of ModelAdmin
        return response

    def _operate(self, request: HttpRequest) -> HttpResponse:
        operation = self._asked(request)
        keys = list(dict.fromkeys(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)))
        back = _back(request)
        if operation is None or not keys:
            messages.warning(request, "Choose rows and what to do with them. Nothing was changed.")
            return HttpResponseRedirect(back)
        if len(keys) > MOST:
            messages.warning(request, f"These are more than {MOST} rows: narrow the list, and act on all that match.")
            return HttpResponseRedirect(back)
        reason = request.POST.get("reason", "").strip()
        missing = operation.wants_reason and not reason
        if request.POST.get("confirm") != operation.name or missing or len(reason) > LONGEST_REASON:
            return self._ask(request, operation, keys, back=back, wanting="confirm" in request.POST)
        self._do(request, operation, keys, reason=reason)
        return HttpResponseRedirect(back)

    def _asked(self, request: HttpRequest) -> Operation | None:
        name = next((each for each in request.POST.getlist("action") if each), "")
        operation = next((each for each in self.operations if each.name == name), None)
        if not may(request, operation.needs if operation else Role.OPERATOR):
            raise PermissionDenied
        return operation

    def _ask(
        self, request: HttpRequest, operation: Operation, keys: Sequence[str], *, back: str, wanting: bool,
    ) -> HttpResponse:
        return confirmation(
            request, self, operation=operation, foreseen=self.foresee(operation, keys), wanting=wanting, back=back,
            hidden=[("action", operation.name), *((helpers.ACTION_CHECKBOX_NAME, key) for key in keys)],
        )

    def _do(self, request: HttpRequest, operation: Operation, keys: Sequence[str], *, reason: str) -> None:
        agreed, refusals = 0, []
        for key in keys:
            try:
                read_only.refuse()
                with audit.because(reason):
                    self.perform(operation, key, reason=reason, by=request.user.get_username())
            except PlatformError as exc:
                refusals.append(str(exc))
            else:
                agreed += 1
        if agreed:
            messages.success(request, ngettext("%d was ", "%d were ", agreed) % agreed + operation.done)
        for refusal in refusals[:MOST_SAID]:
            messages.error(request, refusal)
        if len(refusals) > MOST_SAID:
            messages.error(request, f"{len(refusals) - MOST_SAID} more were refused")


def confirmation(
    request: HttpRequest, model_admin: Any, *, operation: Operation, hidden: list[tuple[str, str]], wanting: bool, back: str,
    **more: Any,
) -> HttpResponse:
    """Show the page that asks whether, and why; `wanting` says that the reason was left out."""
    context = {
        **model_admin.admin_site.each_context(request), "opts": model_admin.opts, "operation": operation, "hidden": hidden,
        "title": f"{operation.label}?", "wanting": wanting, "back": back, "reason": request.POST.get("reason", ""),
        "longest": LONGEST_REASON, "media": model_admin.media, "about": operation.about, **more,
    }
    return TemplateResponse(request, "core/admin/confirm.html", context)


def _list_address(model_admin: Any) -> str:
    from django.urls import reverse  # noqa: PLC0415  the addresses are made from the admins

    opts = model_admin.opts
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")


def _back(request: HttpRequest) -> str:
    """Return where to go afterwards: the page that asked, if it is ours, else the list as it was."""
    asked = request.POST.get("back", "")
    ours = asked.startswith("/") and url_has_allowed_host_and_scheme(asked, allowed_hosts=None)
    return asked if ours else request.get_full_path()
