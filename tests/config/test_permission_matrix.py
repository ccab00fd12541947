"""Who may use which route: made from the URL configuration, so that no route can be forgotten."""

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.views import APIView

from core.api.permissions import Closed, IsViewer, Public
from core.api.views import ApiView
from tests.support.caller import Caller

ROLES = ("viewer", "operator", "admin")
MATRIX = {
    ("GET", "api/v1/jobs"): "viewer",
    ("POST", "api/v1/jobs"): "operator",
    ("POST", "api/v1/jobs/bulk"): "operator",
    ("GET", "api/v1/jobs/<job:job_id>"): "viewer",
    ("GET", "api/v1/jobs/<job:job_id>/attempts"): "viewer",
    ("POST", "api/v1/jobs/<job:job_id>/retry"): "operator",
    ("POST", "api/v1/jobs/<job:job_id>/cancel"): "operator",
    ("POST", "api/v1/jobs/<job:job_id>/run"): "operator",
    ("POST", "api/v1/jobs/<job:job_id>/discard"): "admin",
    ("GET", "api/v1/jobs/<job:job_id>/artifacts"): "viewer",
    ("POST", "api/v1/artifacts"): "operator",
    ("GET", "api/v1/artifacts/<job:artifact_id>"): "viewer",
    ("GET", "api/v1/job-types"): "viewer",
    ("GET", "api/v1/queues"): "viewer",
    ("POST", "api/v1/queues/<queue:name>/pause"): "operator",
    ("POST", "api/v1/queues/<queue:name>/resume"): "operator",
    ("GET", "api/v1/workers"): "viewer",
    ("GET", "api/v1/stale"): "viewer",
    ("GET", "api/v1/stats"): "viewer",
    ("GET", "api/v1/locks"): "viewer",
    ("GET", "api/v1/locks/<lock:name>"): "viewer",
    ("POST", "api/v1/locks/<lock:name>/release"): "admin",
    ("GET", "api/v1/audit"): "admin",
    ("GET", "api/v1/schema"): None,   # documentation, nothing of anybody's
    ("GET", "api/v1/docs"): None,
}
LOG_IN_PAGES = {   # on a developer's machine alone; tests/config/test_mails.py knocks at each
    "mails", "mails/<uuid:name>", "mails/<uuid:name>/html", "mails/<uuid:name>/source",
    "mails/<uuid:name>/attachments/<int:number>",
}
OPEN_PAGES = {"", "favicon.ico", "admin/login/", "healthz", "readyz", "metrics", "api"}   # views of Django's own kind; the admin guards itself


def routes(patterns: Sequence[Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = before + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route.replace("(?:/|$)", ""), pattern.callback


def unguarded(patterns: Sequence[Any]) -> list[str]:
    """Name the routes that nobody decided about: no permission class of their own, or no REST view and not a page."""
    found = []
    for route, callback in routes(patterns):
        view = getattr(callback, "cls", None)
        if view is None:
            decided = route in OPEN_PAGES | LOG_IN_PAGES
        else:
            own = view.permission_classes
            decided = bool(own) and Closed not in own and own is not APIView.permission_classes
        if not decided:
            found.append(route)
    return found


def methods() -> set[tuple[str, str]]:
    return {
        (name.upper(), route)
        for route, callback in routes(get_resolver().url_patterns) if (view := getattr(callback, "cls", None))
        for name in ("get", "post", "put", "patch", "delete") if name in view.http_method_names and hasattr(view, name)
    }


def test_every_view_has_a_permission_class_of_its_own():
    assert unguarded(get_resolver().url_patterns) == []


def test_a_view_without_one_would_be_found():
    class Forgotten(ApiView):
        def get(self, request):
            raise AssertionError

    class Emptied(ApiView):
        permission_classes = ()

    class Decided(ApiView):
        permission_classes = (IsViewer,)

    patterns = [
        path("forgotten", Forgotten.as_view()), path("emptied", Emptied.as_view()), path("decided", Decided.as_view()),
        path("plain", lambda request: None),
    ]

    assert unguarded(patterns) == ["forgotten", "emptied", "plain"]


def test_every_route_stands_in_the_matrix():
    assert methods() == set(MATRIX)


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "route"), sorted(MATRIX))
def test_a_route_lets_in_whom_the_matrix_names_and_nobody_below(method, route):
    address = "/" + re.sub("<job:[a-z_]+>", str(uuid.uuid4()), route).replace("<queue:name>", "default").replace("<lock:name>", "a:1")
    callers = {None: Caller(), **{role: Caller.of(role) for role in ROLES}}

    statuses = {
        role: (caller.post(address, {}) if method == "POST" else caller.get(address)).status_code
        for role, caller in callers.items()
    }

    least = MATRIX[method, route]
    allowed = {None, *ROLES} if least is None else set(ROLES[ROLES.index(least):])
    assert {role for role, status in statuses.items() if status not in {401, 403}} == allowed
    assert statuses[None] in ({200} if least is None else {401})
    assert all(status < 500 for status in statuses.values())


def test_public_views_only_read():
    public = {
        route for route, callback in routes(get_resolver().url_patterns)
        if Public in getattr(getattr(callback, "cls", None), "permission_classes", ())
    }

    assert {method for method, route in methods() if route in public} == {"GET"}
