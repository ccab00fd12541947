"""Who acts in a request: whoever its token or its session says, once that is known."""

from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from django.http import HttpRequest, HttpResponse

from core.api import clients
from core.api.authentication import Principal, role_of
from core.audit import watch
from core.audit.actor import Actor, acting


class ActorMiddleware:
    """Let what a request does be its user's. Stands behind the log-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting(lambda: of_request(request)):
            response = self.get_response(request)
            if response.status_code < HTTPStatus.BAD_REQUEST:
                watch.tell_of_action(request)
            return response


def of_request(request: HttpRequest) -> Actor:
    """Return who a request speaks for: the principal of the API, the user of a page, or nobody."""
    address = str(clients.client_address(request) or "local")
    found = cast("Principal | None", getattr(request, "principal", None))
    if found is not None:
        return Actor(key=found.key, name=found.name, role=found.role, channel="api", address=address)
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return Actor(
            key=f"user:{user.pk}", name=user.get_username(), role=role_of(user), channel="admin", address=address,
        )
    return Actor(key="anonymous", channel="web", address=address)
