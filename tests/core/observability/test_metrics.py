import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from core.observability import metrics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def collectors(monkeypatch):
    """No collector but those that a test adds."""
    monkeypatch.setattr(metrics, "_collectors", {})


class Fine:
    def collect(self):
        yield GaugeMetricFamily("latchwork_fine", "It is.", value=7)


class Broken:
    def collect(self):
        yield GaugeMetricFamily("latchwork_half", "Never seen.", value=1)
        raise RuntimeError("the table is locked")


def samples(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
    }


def test_one_broken_collector_hides_nothing_of_the_others(client):
    metrics.register("broken", Broken())
    metrics.register("fine", Fine())

    found = samples(client.get("/metrics").content.decode())

    assert found["latchwork_fine",] == 7
    assert found["latchwork_collector_failed", ("collector", "broken")] == 1
    assert found["latchwork_collector_failed", ("collector", "fine")] == 0
    assert ("latchwork_half",) not in found


def test_requests_are_counted_by_route_not_by_path(client):
    key = ("latchwork_http_requests_total", ("method", "GET"), ("route", "unmatched"), ("status", "404"))
    before = samples(client.get("/metrics").content.decode()).get(key, 0)

    for number in range(3):
        client.get(f"/nowhere/{number}")
    client.generic("INVENTED", "/nowhere")
    text = client.get("/metrics").content.decode()

    assert samples(text)[key] - before == 3
    assert "nowhere" not in text
    assert "INVENTED" not in text


def test_a_token_can_be_asked_for(client, settings):
    settings.METRICS_TOKEN = "swordfish"

    statuses = [
        client.get("/metrics", headers=headers).status_code
        for headers in ({}, {"Authorization": "Bearer shark"}, {"Authorization": "Bearer swordfish"})
    ]

    assert statuses == [401, 401, 200]
