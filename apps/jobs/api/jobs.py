"""/jobs: to enqueue, to list, to look at, and to act on one."""

import uuid
from http import HTTPStatus
from typing import Any, ClassVar

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs import errors, selectors, services
from apps.jobs.api import answers, refusals
from apps.jobs.api import described as say
from apps.jobs.api.base import JobsView, refuse_parameters
from apps.jobs.api.bodies import JobQuery, NewJob, NewJobs
from core.api import idempotency, pagination, parameters
from core.api.parsers import StrictJSONParser
from core.api.permissions import IsOperator, IsViewer, ViewerReadsOperatorWrites
from core.api.problems import Problem
from core.observability.request_id import current_request_id

NEWEST_FIRST = ("-created_at", "-id")


class Jobs(JobsView):
    permission_classes = (ViewerReadsOperatorWrites,)

    @say.route(
        "List jobs, newest first", operation="jobs_list", query=JobQuery,
        answers={200: (answers.JobPage, "A page of jobs.", say.page(say.JOB))},
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(JobQuery, request)
        rows = selectors.matching(
            status=query.status, type_name=query.type, queue=query.queue, tag=query.tag, cron_id=query.cron,
            created_after=query.created_after, created_before=query.created_before,
        )
        page = pagination.of_rows(rows, query=query, order=NEWEST_FIRST)
        return pagination.answer(page, request=request, items=[answers.job(row) for row in page.items])

    @say.route(
        "Enqueue a job", operation="jobs_create", body=NewJob, example=say.NEW_JOB, parameters=(say.KEY, say.LOCATION),
        also=(HTTPStatus.GONE,),
        answers={
            201: (answers.JobAnswer, "The job was made; `Location` is its address.", say.JOB),
            200: (
                answers.JobAnswer,
                "The job exists: the `Idempotency-Key` was used before, or `return_existing` found it.",
                say.JOB,
            ),
        },
    )
    def post(self, request: Request) -> Response:
        refuse_parameters(request)
        new = parameters.read_body(NewJob, request)
        key = idempotency.read_key(request, route="POST /api/v1/jobs")
        done = idempotency.perform(key, lambda: _placed(new))
        found = _kept([done.result["id"]])[0]
        if done.replayed or not done.result["created"]:
            return Response(answers.job(found))
        address = request.build_absolute_uri(reverse("job", args=[found.id]))
        return Response(answers.job(found), status=HTTPStatus.CREATED, headers={"Location": address})


class BulkParser(StrictJSONParser):
    """Room for a thousand jobs."""

    max_bytes: ClassVar[int] = 4 * 1024 * 1024
    max_depth: ClassVar[int] = 34
    max_keys: ClassVar[int] = 100_000


class Bulk(JobsView):
    permission_classes = (IsOperator,)
    parser_classes = (BulkParser,)

    @say.route(
        "Enqueue up to 1,000 jobs, all or none", operation="jobs_bulk_create", body=NewJobs,
        example={"jobs": [say.NEW_JOB]}, parameters=(say.KEY,), also=(HTTPStatus.GONE,),
        answers={
            201: (answers.MadeJobs, "The jobs, in the order of the request.", {"jobs": [say.JOB]}),
            200: (answers.MadeJobs, "The same jobs: the `Idempotency-Key` was used before.", {"jobs": [say.JOB]}),
        },
    )
    def post(self, request: Request) -> Response:
        refuse_parameters(request)
        new = parameters.read_body(NewJobs, request)
        key = idempotency.read_key(request, route="POST /api/v1/jobs/bulk")
        done = idempotency.perform(key, lambda: _all_placed(new.jobs))
        rows = _kept(done.result["ids"])
        status = HTTPStatus.OK if done.replayed else HTTPStatus.CREATED
        return Response({"jobs": [answers.job(row) for row in rows]}, status=status)


class OneJob(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "Look at a job", operation="jobs_read", parameters=(say.JOB_ID,),
        answers={200: (answers.OneJob, "The job.", {**say.JOB, "why_waiting": "it waits for its turn"})},
    )
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        refuse_parameters(request)
        return Response(answers.one_job(selectors.job(job_id)))


class Attempts(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List a job's attempts, oldest first", operation="jobs_attempts", parameters=(say.JOB_ID,),
        query=pagination.PageQuery,
        answers={200: (answers.AttemptPage, "A page of attempts.", say.page(say.ATTEMPT))},
    )
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_list(selectors.attempts(job_id), query=query, key=lambda each: f"{each.fence or 0:020d}")
        return pagination.answer(page, request=request, items=[answers.attempt(each) for each in page.items])


def _placed(new: NewJob) -> dict[str, Any]:
    placed = services.request(new.type, new.payload, new.options(request_id=current_request_id()))
    return {"id": str(placed.id), "created": placed.created}


def _all_placed(new: list[NewJob]) -> dict[str, Any]:
    request_id = current_request_id()
    try:
        placed = services.request_many([(each.type, each.payload, each.options(request_id=request_id)) for each in new])
    except (errors.InvalidJob, errors.UniqueConflict) as exc:
        raise refusals.of(exc, at="/jobs" if len(new) > 1 else "/jobs/0") from exc   # one alone is not numbered
    return {"ids": [str(each.id) for each in placed]}


def _kept(ids: list[str]) -> list[Any]:
    """Return the jobs, or say that retention has deleted one: a key may outlive what it made."""
    rows = selectors.several([uuid.UUID(each) for each in ids])
    if len(rows) < len(set(ids)):
        raise Problem(
            status=HTTPStatus.GONE, kind="job-deleted",
            detail="what was made under this Idempotency-Key is done and deleted: a new request needs a new key",
        )
    return rows
