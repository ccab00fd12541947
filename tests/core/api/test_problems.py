import pytest

from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]
MEMBERS = {"type", "title", "status", "detail", "errors", "request_id"}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("ask", "status"), [
    (lambda caller: caller.get("/api/nowhere"), 404),
    (lambda caller: caller.post("/api/nowhere", {}), 404),
    (lambda caller: caller.get("/api"), 404),
    (lambda caller: caller.client.delete("/api/notes", headers=caller.headers), 405),
    (lambda caller: caller.client.options("/api/notes", headers=caller.headers), 405),
    (lambda caller: caller.post("/api/notes", b"a=1", Content_Type="application/x-www-form-urlencoded"), 415),
    (lambda caller: caller.get("/api/who", Accept="text/csv"), 406),
    (lambda caller: caller.post("/api/notes", b"{"), 400),
    (lambda caller: caller.post("/api/notes", {}), 422),
    (lambda caller: caller.get("/api/admin"), 403),
    (lambda caller: Caller().get("/api/who"), 401),
    (lambda caller: caller.get("/api/raises/surprise"), 500),
    (lambda caller: caller.get("/api/raises/database"), 503),
])
def test_every_refusal_has_the_one_shape(operator, settings, debug, ask, status):
    settings.DEBUG = debug

    response = ask(operator)

    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert response["Content-Type"] == "application/problem+json"
    assert set(problem) == MEMBERS
    assert response["X-Request-ID"] == problem["request_id"]


def test_a_surprise_tells_the_client_nothing_and_the_log_everything(operator, caplog):
    response = operator.get("/api/raises/surprise")

    [record] = [record for record in caplog.records if record.name == "core.api.problems"]
    assert b"swordfish" not in response.content
    assert record.msg["event"] == "request.failed"
    assert record.msg["request_id"] == response.json()["request_id"]
    assert str(record.msg["exc_info"]) == "the password is swordfish"


def test_nested_errors_become_pointers(operator):
    response = operator.get("/api/raises/fields")

    assert [{"pointer": "/a/b", "detail": "is wrong"}, {"pointer": "/list/1/c", "detail": "is odd"}] == response.json()["errors"]


def test_a_method_that_is_not_taken_lists_those_that_are(operator):
    response = operator.client.delete("/api/notes", headers=operator.headers)

    assert response["Allow"] == "GET, HEAD, POST"


def test_a_page_outside_the_api_is_answered_as_a_page(client):
    response = client.get("/nowhere")

    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"there is nothing" in response.content.lower()
