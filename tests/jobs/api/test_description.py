"""The OpenAPI document: complete, and its examples are true."""

import jsonschema
import pytest

METHODS = {"get", "post"}


@pytest.fixture
def document(client):
    return client.get("/api/v1/schema").json()


def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items() for method, operation in methods.items() if method in METHODS
    }


def checked(document, schema, example):
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(example)


def test_the_document_is_openapi_3_1_and_names_every_route(document):
    assert document["openapi"] == "3.1.0"
    assert len(operations(document)) == 23
    assert len({operation["operationId"] for operation in operations(document).values()}) == 23


def test_each_answer_has_an_example_that_fits_its_schema(document):
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            if status == "304":   # has no content, whatever it is
                assert "content" not in response
                continue
            [(_, content)] = response["content"].items()
            assert content["examples"]
            for example in content["examples"].values():
                checked(document, content["schema"], example["value"])


def test_an_example_that_does_not_fit_would_be_found(document):
    schema = operations(document)["GET /api/v1/stats"]["responses"]["200"]["content"]["application/json"]["schema"]

    with pytest.raises(jsonschema.ValidationError):
        checked(document, schema, {"total_jobs": "many"})


def test_each_body_with_members_has_an_example_that_fits(document):
    bodies = {
        name: content
        for name, operation in operations(document).items() if "requestBody" in operation
        for [content] in [operation["requestBody"]["content"].values()]
    }
    shown = [name for name, content in bodies.items() if content.get("examples")]

    assert shown == [
        "POST /api/v1/artifacts", "POST /api/v1/jobs", "POST /api/v1/jobs/bulk", "POST /api/v1/locks/{name}/release",
        "POST /api/v1/queues/{name}/pause",
    ]
    for name in shown:
        for example in bodies[name]["examples"].values():
            checked(document, bodies[name]["schema"], example["value"])


def test_each_route_documents_its_refusals(document):
    reading = {400, 401, 403, 406, 414, 500, 503}
    writing = reading | {409, 413, 415, 422, 429}
    for name, operation in operations(document).items():
        refusals = {int(status) for status in operation["responses"] if int(status) >= 400}
        paged = any(each["name"] == "cursor" for each in operation.get("parameters", ()))
        expected = (writing if name.startswith("POST") else reading) | ({404} if "{" in name or paged else set())
        gone = {"POST /api/v1/jobs", "POST /api/v1/jobs/bulk", "POST /api/v1/artifacts", "GET /api/v1/artifacts/{artifact_id}"}
        assert refusals == expected | ({410} if name in gone else set())
        assert operation["security"] == [{"token": []}, {"session": []}]


def test_a_body_asks_only_for_what_it_needs(document):
    assert document["components"]["schemas"]["NewJob"]["required"] == ["type"]
    assert document["components"]["schemas"]["NewJob"]["additionalProperties"] is False
