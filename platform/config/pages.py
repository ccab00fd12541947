"""The pages that belong to no app: start, documentation, and what is said when something is wrong."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from core import headers
from core.api import problems
from core.api.permissions import Public
from core.observability.request_id import current_request_id

API = "/api/"


class SchemaView(SpectacularAPIView):
    """The description of the API, for machines."""

    permission_classes = (Public,)
    authentication_classes = ()
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer]  # noqa: RUF012  declared so
    http_method_names = ["get", "head"]  # noqa: RUF012  Django declares it so

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return it as JSON, or as YAML for whoever accepts `application/vnd.oai.openapi`."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # the library has no types
        return response


class DocsView(SpectacularSwaggerSplitView):
    """The same for people: Swagger UI from our own files, its script apart from its page."""

    permission_classes = (Public,)
    authentication_classes = ()
    http_method_names = ["get", "head"]  # noqa: RUF012  Django declares it so

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the page, with a policy that allows the styles Swagger UI writes itself."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # the library has no types
        response["Content-Security-Policy"] = headers.policy(style_src="'self' 'unsafe-inline'")
        return response


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Show what there is and where."""
    return render(request, "start.html", {
        "flower_url": settings.FLOWER_URL, "base": f"{request.scheme}://{request.get_host()}", "mails": settings.MAILS_DIR is not None,
    })


@require_safe
@cache_control(public=True, max_age=86_400)
def favicon(_request: HttpRequest) -> HttpResponse:
    """Lead to the icon: browsers ask here on pages that name none, those of the admin and bare JSON."""
    return HttpResponseRedirect(static("site/latch.svg"))


def bad_request(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer a request that Django itself refused."""
    return say(request, HTTPStatus.BAD_REQUEST, "this request cannot be understood")


def forbidden(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer what is not allowed; Django calls it for a missing CSRF token too."""
    return say(request, HTTPStatus.FORBIDDEN, "this is not allowed, or the page was open for too long: load it again")


def not_found(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer an address at which there is nothing."""
    return say(request, HTTPStatus.NOT_FOUND, "there is nothing at this address")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a mistake of ours, without a word about it: the log has it under the request id."""
    return say(request, HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong on our side")


def say(request: HttpRequest, status: HTTPStatus, detail: str, *, kind: str = "") -> HttpResponse:
    """Say a refusal: to programs as a problem, to people as a page."""
    if request.path.startswith(API):
        return problems.plain(problems.Problem(status=status, detail=detail, kind=kind))
    facts = {"status": int(status), "title": status.phrase, "detail": detail, "request_id": current_request_id()}
    return render(request, "problem.html", facts, status=status)
