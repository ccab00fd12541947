"""The view that all routes of the API build on."""

from http import HTTPStatus
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api.problems import Problem


class ApiView(APIView):
    """A route. It has to name its `permission_classes`: the default is closed."""

    http_method_names = ["get", "head", "post"]  # noqa: RUF012  Django declares it so; without OPTIONS, which tells of views

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Do what REST framework does first, then refuse a body that is not read as it stands.

        One without its length would be unread, and one that is compressed may hold a thousand times what it weighs.
        """
        super().initial(request, *args, **kwargs)
        if request.headers.get("Transfer-Encoding"):
            raise Problem(status=HTTPStatus.BAD_REQUEST, detail="send the body with its Content-Length")
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Problem(
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail="send the body as it is, without Content-Encoding",
                headers={"Accept-Encoding": "identity"},   # RFC 9110, 12.5.3: what would have been taken
            )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Keep answers out of shared caches: they are for whoever asked."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        final.headers.setdefault("Cache-Control", "no-store")
        return final
