"""What all views of jobs share."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs.api import refusals
from apps.jobs.api.bodies import NoQuery
from core.api import parameters
from core.api.views import ApiView


class JobsView(ApiView):
    """A view whose errors of jobs become problems."""

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error of jobs as the problem that it is."""
        response: Response = super().handle_exception(refusals.of(exc))
        return response


def refuse_parameters(request: Request) -> None:
    """Refuse any query parameter, for routes that have none."""
    parameters.read_query(NoQuery, request)
