import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import logging.config, structlog, sys
sys.path[:0] = [{platform!r}]
from core.observability import logging as ours
logging.config.dictConfig(ours.configure(level="INFO", form={form!r}))
structlog.contextvars.bind_contextvars(request_id="r-1")
structlog.get_logger("a").info("job.settled", count=2, odd=object)
logging.getLogger("library").warning("from %s", "a library", extra={{"size": 3}})
logging.getLogger("library").info("two\\nlines")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("oh")
    structlog.get_logger("a").exception("oh.ours")
structlog.get_logger("a").debug("unheard")
"""


def lines(form: str) -> list[str]:
    program = PROGRAM.format(platform=str(ROOT / "platform"), form=form)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_each_event_is_one_line_of_json_whoever_wrote_it():
    settled, library, two, oh, ours = (json.loads(line) for line in lines("json"))

    assert (settled["event"], settled["count"], settled["logger"], settled["level"]) == ("job.settled", 2, "a", "info")
    assert (library["event"], library["size"], library["level"]) == ("from a library", 3, "warning")
    assert two["event"] == "two\nlines"
    assert [each["exception"].splitlines()[-1] for each in (oh, ours)] == ["ZeroDivisionError: division by zero"] * 2
    assert {each["request_id"] for each in (settled, library, two, oh, ours)} == {"r-1"}
    assert all(each["timestamp"].endswith("Z") for each in (settled, library))


def test_a_person_may_read_them_as_text():
    printed = "\n".join(lines("console"))

    assert "job.settled" in printed
    assert "ZeroDivisionError: division by zero" in printed


@pytest.mark.parametrize("logger", ["celery", "celery.task", "celery.redirected"])
def test_celery_adds_no_handlers_of_its_own(logger):
    program = f"""
import sys, logging
sys.path[:0] = [{str(ROOT / "platform")!r}, {str(ROOT)!r}]
from config.celery import app
import django
django.setup()
app.log.setup(loglevel="INFO", redirect_stdouts=True)
logging.getLogger({logger!r}).warning("once")
print("as it is")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    [line] = done.stderr.splitlines()
    assert (json.loads(line)["event"], done.stdout) == ("once", "as it is\n")
