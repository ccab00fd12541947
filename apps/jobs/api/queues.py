"""/queues: what waits where, and how to stop and start it."""

from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs import selectors, services
from apps.jobs.api import answers, bodies
from apps.jobs.api import described as say
from apps.jobs.api.base import JobsView, refuse_parameters
from core.api import pagination, parameters
from core.api.authentication import principal
from core.api.permissions import IsOperator, IsViewer


class Queues(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List queues", operation="queues_list", query=pagination.PageQuery,
        answers={200: (answers.QueuePage, "A page of queues.", say.page(say.QUEUE))},
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_list(selectors.queues(), query=query, key=lambda state: state.name)
        return pagination.answer(page, request=request, items=[answers.queue(state) for state in page.items])


@extend_schema_view(post=say.switch(
    "Claim nothing more from a queue", operation="queues_pause", body=bodies.Pause,
    example={"reason": "the mail server is being moved"}, paused=True,
))
class Pause(JobsView):
    permission_classes = (IsOperator,)

    def post(self, request: Request, name: str) -> Response:
        refuse_parameters(request)
        body = parameters.read_body(bodies.Pause, request)
        services.pause(name, by=principal(request).name, reason=body.reason)
        return Response(answers.queue(selectors.queue(name)))


@extend_schema_view(post=say.switch(
    "Claim from a queue again", operation="queues_resume", body=parameters.Nothing, example=None, paused=False,
))
class Resume(JobsView):
    permission_classes = (IsOperator,)

    def post(self, request: Request, name: str) -> Response:
        refuse_parameters(request)
        parameters.read_body(parameters.Nothing, request)
        services.resume(name)
        return Response(answers.queue(selectors.queue(name)))
