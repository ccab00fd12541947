"""Routes for the tests of the shared rooms, which know no app."""

from django.db import OperationalError
from django.urls import path, re_path
from pydantic import Field
from rest_framework import serializers
from rest_framework.response import Response

from config.pages import bad_request, forbidden, not_found, server_error
from core.api import idempotency, pagination, parameters, permissions, problems
from core.api.authentication import principal
from core.api.models import ApiToken
from core.api.views import ApiView

handler400, handler403, handler404, handler500 = bad_request, forbidden, not_found, server_error


class Note(parameters.Body):
    text: str
    count: int = 1


class Filter(pagination.PageQuery):
    name: str | None = None
    role: list[str] = Field(default_factory=list)


class WhoAmI(ApiView):
    permission_classes = (permissions.IsViewer,)

    def get(self, request):
        who = principal(request)
        return Response({"key": who.key, "name": who.name, "role": who.role})


class Notes(ApiView):
    permission_classes = (permissions.ViewerReadsOperatorWrites,)

    def get(self, request):
        query = parameters.read_query(Filter, request)
        rows = ApiToken.objects.all()
        rows = rows.filter(name=query.name) if query.name else rows
        page = pagination.of_rows(rows, query=query, order=("-created_at", "-id"))
        return pagination.answer(page, request=request, items=[row.name for row in page.items])

    def post(self, request):
        note = parameters.read_body(Note, request)

        def work():
            return {"id": ApiToken.objects.create(name=note.text, prefix=f"{ApiToken.objects.count():08x}", role="viewer").pk}

        done = idempotency.perform(idempotency.read_key(request, route="notes"), work)
        return Response(done.result, status=200 if done.replayed else 201)


class Words(ApiView):
    permission_classes = (permissions.IsViewer,)

    def get(self, request):
        query = parameters.read_query(pagination.PageQuery, request)
        page = pagination.of_list(["cherry", "apple", "banana"], query=query, key=str)
        return pagination.answer(page, request=request, items=list(page.items))


class AdminOnly(ApiView):
    permission_classes = (permissions.IsAdmin,)

    def get(self, request):
        return Response({})


class Unnamed(ApiView):
    def get(self, request):
        return Response({"secret": True})


EXCEPTIONS = {
    "surprise": RuntimeError("the password is swordfish"),
    "database": OperationalError("server closed the connection"),
    "fields": serializers.ValidationError({"a": {"b": ["is wrong"]}, "list": [{}, {"c": ["is odd"]}]}),
}


class Raises(ApiView):
    permission_classes = (permissions.Public,)

    def get(self, request, name):
        raise EXCEPTIONS[name]


urlpatterns = [
    path("api/who", WhoAmI.as_view()),
    path("api/notes", Notes.as_view()),
    path("api/words", Words.as_view()),
    path("api/admin", AdminOnly.as_view()),
    path("api/unnamed", Unnamed.as_view()),
    path("api/raises/<str:name>", Raises.as_view()),
    re_path(r"^api(?:/|$)", problems.unknown_route),
]
