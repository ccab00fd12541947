"""What a request to change something is told while the installation is read-only."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config import pages
from core.read_only import REASON

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
DOORS = ("/admin/login/", "/admin/logout/")   # whoever wants to look has to get in


class ReadOnlyMiddleware:
    """Refuse whatever is not a read, before anything else is asked: a view cannot forget it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.READ_ONLY and request.method not in SAFE and request.path not in DOORS:
            return pages.say(request, HTTPStatus.SERVICE_UNAVAILABLE, REASON, kind="read-only")
        return self.get_response(request)
