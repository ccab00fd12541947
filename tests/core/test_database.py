"""What holds a web thread: by the server's clock, and by ours when the server is silent."""

import subprocess
import sys

import pytest
from django.db import OperationalError, close_old_connections, connection

from config.settings.env import ROOT
from core import database
from tests.support.caller import Caller
from tests.support.environment import environment

pytestmark = pytest.mark.django_db(transaction=True)
SHOW = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print(*cursor.fetchone())
"""


@pytest.fixture
def bounded():
    """Bound the connection of this test, which is closed after it."""
    connection.close()
    connection.connect()
    yield lambda **seconds: database.bound(connection, **{"statement_seconds": 60, "silence_seconds": 60, **seconds})
    connection.close()


def test_the_server_ends_a_statement_that_takes_too_long(bounded):
    bounded(statement_seconds=0.2)

    with pytest.raises(OperationalError, match="statement timeout"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    assert connection.is_usable()


def test_a_frozen_server_is_given_up_with_a_503_and_asked_anew_later(postgres, bounded):
    caller = Caller.of("viewer")
    bounded(silence_seconds=0.3)

    postgres.stall()
    refused = caller.get("/api/v1/jobs")
    postgres.resume()

    assert (503, "1") == (refused.status_code, refused["Retry-After"])
    assert "the database does not answer: try again in a moment" == refused.json()["detail"]
    close_old_connections()   # what the end of a request does; Django's test client leaves it out
    assert 200 == caller.get("/api/v1/jobs").status_code


def test_who_stands_still_in_a_transaction_of_the_web_keeps_its_rows_no_longer_than_a_minute(bounded):
    bounded()
    said = {}
    with connection.cursor() as cursor:
        for name in ("idle_in_transaction_session_timeout", "tcp_keepalives_idle"):
            cursor.execute(f"SHOW {name}")
            said[name] = cursor.fetchone()[0]

    assert {"idle_in_transaction_session_timeout": "1min", "tcp_keepalives_idle": "5"} == said


@pytest.mark.parametrize(("start", "bound"), [("import config.wsgi", "15s"), ("import django; django.setup()", "0")])
def test_the_web_is_bounded_and_other_processes_are_not(start, bound):
    program = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'platform')!r}]; {start}\n{SHOW}"

    shown = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True)

    assert bound == shown.stdout.strip()
