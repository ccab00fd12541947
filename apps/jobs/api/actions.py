"""/jobs/{id}/…: what a person does with one job."""

import uuid
from collections.abc import Callable
from typing import ClassVar

from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs import selectors, services
from apps.jobs.api import answers
from apps.jobs.api import described as say
from apps.jobs.api.base import JobsView, refuse_parameters
from core.api import parameters
from core.api.permissions import IsAdmin, IsOperator


class Action(JobsView):
    """Do something with one job, and answer how it stands then."""

    act: ClassVar[Callable[[uuid.UUID], None]]

    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        refuse_parameters(request)
        parameters.read_body(parameters.Nothing, request)
        type(self).act(job_id)
        return Response(answers.job(selectors.job(job_id)))


@extend_schema_view(post=say.action("Queue a finished job again", operation="jobs_retry", status="queued"))
class Retry(Action):
    permission_classes = (IsOperator,)
    act = services.retry


@extend_schema_view(post=say.action("End an unfinished job", operation="jobs_cancel", status="cancelled"))
class Cancel(Action):
    permission_classes = (IsOperator,)
    act = services.cancel


@extend_schema_view(post=say.action("Make a waiting job ready now", operation="jobs_run", status="queued"))
class Run(Action):
    permission_classes = (IsOperator,)
    act = services.run


@extend_schema_view(post=say.action("Put a dead letter away", operation="jobs_discard", status="cancelled"))
class Discard(Action):
    permission_classes = (IsAdmin,)
    act = services.discard
