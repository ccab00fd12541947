import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


@pytest.mark.parametrize(("query", "pointer", "words"), [
    ("limmit=3", "/limmit", "known are cursor, limit, name, role"),
    ("limit=0", "/limit", "greater than or equal to 1"),
    ("limit=201", "/limit", "less than or equal to 200"),
    ("limit=ten", "/limit", "valid integer"),
    ("limit=1&limit=2", "/limit", "more than once"),
    ("name=%00", "/name", "NUL"),
    ("format=json", "/format", "is not a parameter"),
    ("a%00b=1", "/a\\0b", "is not a parameter"),
])
def test_a_query_parameter_that_is_unknown_or_wrong_is_refused(viewer, query, pointer, words):
    response = viewer.get(f"/api/notes?{query}")

    [error] = response.json()["errors"]
    assert (response.status_code, error["pointer"]) == (400, pointer)
    assert words in error["detail"]


def test_a_list_parameter_may_be_repeated(viewer):
    response = viewer.get("/api/notes?role=viewer&role=admin")

    assert response.status_code == 200


def test_an_unknown_member_of_the_body_is_refused_with_the_known(operator):
    response = operator.post("/api/notes", {"text": "a", "a/b~c": 1})

    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/a~1b~0c", "detail": "is not a member; known are count, text"}]


@pytest.mark.parametrize("count", ["1", 1.5, True, None])
def test_a_member_of_another_type_is_refused(operator, count):
    response = operator.post("/api/notes", {"text": "a", "count": count})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/count")
