import pytest

from tests.support.caller import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


@pytest.mark.parametrize(("role", "statuses"), [
    (None, [401, 401, 401, 401]),
    ("viewer", [200, 403, 403, 403]),
    ("operator", [200, 201, 403, 403]),
    ("admin", [200, 201, 200, 403]),
])
def test_a_role_may_what_it_may_and_a_view_without_permission_is_closed(role, statuses):
    caller = Caller.of(role) if role else Caller()

    responses = [
        caller.get("/api/notes"), caller.post("/api/notes", {"text": "a"}), caller.get("/api/admin"), caller.get("/api/unnamed"),
    ]

    assert [response.status_code for response in responses] == statuses


def test_a_refusal_names_the_role(viewer):
    assert viewer.get("/api/admin").json()["detail"] == "this needs the role admin"
