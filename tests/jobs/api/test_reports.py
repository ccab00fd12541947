"""Reports, as the API takes and describes them."""

GOOD = {"report": "jobs_summary", "from": "2026-11-02T00:00:00Z", "to": "2026-11-03T00:00:00Z", "format": "csv"}


def test_the_api_answers_422_with_the_pointer(operator):
    answer = operator.post("/api/v1/jobs", {"type": "report.generate", "payload": {**GOOD, "filters": {"status": "done"}}})

    assert (422, "/payload/filters/status") == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_the_api_describes_the_reports_of_this_process(viewer):
    items = viewer.get("/api/v1/job-types").json()["items"]
    (schema,) = [item["payload_schema"] for item in items if item["name"] == "report.generate"]

    assert ["jobs_failures", "jobs_summary", "queue_latency"] == schema["properties"]["report"]["enum"]
    titles = [each["title"] for each in schema["properties"]["filters"]["anyOf"]]
    assert ["jobs_failures", "jobs_summary", "queue_latency"] == titles
