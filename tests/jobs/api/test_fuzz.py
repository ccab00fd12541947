"""The description of the API is true: what it allows is taken, what it forbids is refused, each answer is as it says.

schemathesis sends thousands of requests in this process, with all its checks.
"""

import os
from pathlib import Path

import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.config import SchemathesisConfig

from config.wsgi import application

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))   # for each route and kind; 400 are some ten thousand requests
CONFIG = SchemathesisConfig.from_path(Path(__file__).resolve().parents[3] / "schemathesis.toml")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Aim at a type that exists, else nearly each body would end at its type."""
    new_job = raw_schema.get("components", {}).get("schemas", {}).get("NewJob")
    if new_job:
        new_job["properties"]["type"] = {"enum": ["test.note"]}
        new_job["properties"]["payload"] = {
            "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False,
        }


schema = schemathesis.openapi.from_wsgi("/api/v1/schema", application, config=CONFIG)


@pytest.fixture
def one_connection():
    """Keep the test's transaction open over requests, as Django's own test client does."""
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (signals.request_started, signals.request_finished):
        signal.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_connection", "note")
@schema.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=list(HealthCheck),   # the fixtures may be shared: no request depends on another's absence
    phases=[Phase.explicit, Phase.generate],
)
@seed(int(os.environ.get("FUZZ_SEED", "7")))
def test_each_route_keeps_to_its_description(case, admin):
    case.call_and_validate(headers=admin.headers)
