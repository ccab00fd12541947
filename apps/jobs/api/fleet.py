"""/job-types, /workers, /stale and /stats: what there is and how it goes."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.jobs import registry, selectors
from apps.jobs.api import answers
from apps.jobs.api import described as say
from apps.jobs.api.base import JobsView, refuse_parameters
from core.api import pagination, parameters
from core.api.permissions import IsViewer


class JobTypes(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List job types with their JSON Schema", operation="job_types_list", query=pagination.PageQuery,
        answers={200: (answers.JobTypePage, "A page of types.", say.page(say.JOB_TYPE))},
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_list(registry.all_types(), query=query, key=lambda each: each.name)
        return pagination.answer(page, request=request, items=[answers.job_type(each) for each in page.items])


class Workers(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List the workers that have not ended", operation="workers_list", query=pagination.PageQuery,
        answers={200: (answers.WorkerPage, "A page of workers.", say.page(say.WORKER))},
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_rows(selectors.workers(), query=query, order=("name", "id"))
        running = selectors.running_by_worker([row.id for row in page.items])
        items = [answers.worker(row, running=running[row.id]) for row in page.items]
        return pagination.answer(page, request=request, items=items)


class Stale(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "List endings that a fence refused, newest first", operation="stale_list", query=pagination.PageQuery,
        answers={200: (answers.StalePage, "A page of the ledger.", say.page(say.STALE))},
    )
    def get(self, request: Request) -> Response:
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_rows(selectors.stale(), query=query, order=("-at", "-id"))
        return pagination.answer(page, request=request, items=[answers.stale(row) for row in page.items])


class Stats(JobsView):
    permission_classes = (IsViewer,)

    @say.route(
        "Count everything", operation="stats", answers={200: (answers.Stats, "The counts.", say.STATS)},
    )
    def get(self, request: Request) -> Response:
        refuse_parameters(request)
        return Response(selectors.stats())
