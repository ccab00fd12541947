import pytest

from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


def finished(caplog):
    return [record.msg for record in caplog.records if isinstance(record.msg, dict) and record.msg["event"] == "request.finished"]


def test_a_sane_id_is_taken_and_given_back(client):
    response = client.get("/api/nowhere", headers={"X-Request-ID": "edge-1:42.a_b"})

    assert response["X-Request-ID"] == response.json()["request_id"] == "edge-1:42.a_b"


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "é", "<script>", "x" * 129])
def test_any_other_is_replaced(client, given):
    response = client.get("/api/nowhere", headers={"X-Request-ID": given})

    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 36


def test_each_request_is_one_event_with_who_asked(caplog):
    caller = Caller.of("viewer")

    caller.get("/api/who", X_Request_ID="a")

    [event] = finished(caplog)
    assert {name: event[name] for name in ("method", "path", "status", "request_id")} == {
        "method": "GET", "path": "/api/who", "status": 200, "request_id": "a",
    }
    assert event["principal"].startswith("token:")


def test_the_id_ends_with_its_request(client):
    from core.observability.request_id import current_request_id

    client.get("/api/nowhere")

    assert current_request_id() == ""


def test_what_is_asked_all_the_time_is_not_worth_a_line_unless_it_fails(client, caplog, settings):
    settings.ROOT_URLCONF = "config.urls"

    client.get("/healthz")
    client.get("/metrics")
    client.get("/nowhere")

    assert [event["path"] for event in finished(caplog)] == ["/nowhere"]
