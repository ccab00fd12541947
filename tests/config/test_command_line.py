"""A worker keeps nothing that Celery's command line has loaded for other commands, and those still have it."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.environment import environment

LOOK = """
import gc, json, sys
sys.argv = ["celery", *ARGUMENTS]
import celery.bin.celery as line
import config
from config.command_line import LIBRARIES

def is_theirs(name):
    return str(name).split(".")[0] in LIBRARIES

loaded = sorted({name.split(".")[0] for name in sys.modules if is_theirs(name)})
kept = sum(is_theirs(getattr(each, "__module__", None)) for each in gc.get_objects())
"""


def told(arguments, script="print(json.dumps([loaded, kept]))", *, look=LOOK):
    """What a fresh process says that Celery's command line was started in with these arguments."""
    done = subprocess.run(
        [sys.executable, "-c", look.replace("ARGUMENTS", repr(arguments)) + script], check=True, capture_output=True, text=True,
        env=environment(), timeout=60)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("arguments", [
    ["-A", "config", "worker", "-c", "2", "-n", "flower@%h"], ["-q", "-A", "config", "beat"], ["-A", "config", "worker", "--beat"],
])
def test_a_worker_and_beat_keep_nothing_of_flower_and_of_the_prompt(arguments):
    assert [[], 0] == told(arguments)


@pytest.mark.parametrize("arguments", [
    ["-A", "config", "flower", "--port=5555"], ["-A", "config", "amqp", "repl"], ["-A", "config"], ["-A", "config", "worker", "-Q", "flower"],
    ["-A", "config", "inspect", "-d", "worker", "ping"],
])
def test_every_other_command_keeps_them(arguments):
    loaded, kept = told(arguments)

    assert {"flower", "tornado", "prompt_toolkit"} <= set(loaded)
    assert kept > 1000


@pytest.mark.parametrize("first", [
    "import tornado.httpclient as held", "from tornado.httpclient import HTTPClientError as held", "from wcwidth import wcswidth as held",
])
def test_whoever_had_them_before_us_does_not_get_them_twice(first, tmp_path, monkeypatch):
    (tmp_path / "own_app.py").write_text(f"{first}\nfrom config import celery_app\n{first.replace('held', 'again')}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    own = LOOK.replace("import config\n", "import own_app\n")

    assert told(["-A", "own_app", "worker"], "print(json.dumps(own_app.held is own_app.again))", look=own)


def test_what_a_handler_imports_of_them_is_there_again():
    assert told(["worker"], """
import flower.command, prompt_toolkit, tornado.web, wcwidth
print(json.dumps([tornado.web.RequestHandler.__name__, wcwidth.wcswidth("abc"), prompt_toolkit.PromptSession.__name__]))
""") == ["RequestHandler", 3, "PromptSession"]
