"""What is loaded later is there when it is asked for, and not before."""

import json
import subprocess
import sys

import pytest

CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5


def told(script):
    """Run a script in a fresh process, and return what it prints as JSON."""
    code = f"import json, sys\n{script}"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


GUESS = f"""
import requests
response = requests.Response()
response._content = {CYRILLIC!r}.encode("cp1251")
guess = response.apparent_encoding
"""


def test_the_client_of_the_house_loads_no_tables_of_encodings_and_requests_still_guesses_as_it_would():
    ours = told(f"""
import core.outgoing
before = any(name.startswith(("charset_normalizer.", "chardet.")) for name in sys.modules)
{GUESS}
print(json.dumps([before, guess, any(name.startswith(("charset_normalizer.", "chardet.")) for name in sys.modules)]))""")
    plain = told(f"{GUESS}\nprint(json.dumps(guess))")

    assert [False, plain, True] == ours
    assert plain is not None


@pytest.mark.parametrize("use", [
    "from json.tool import main", "import json.tool", "import importlib; importlib.reload(sys.modules['colorsys'])",
    "import colorsys; colorsys.rgb_to_hls", "from colorsys import rgb_to_hls", "import importlib.util; importlib.util.find_spec('colorsys')",
])
def test_a_module_that_stands_for_another_can_be_used_as_that(use):
    assert told(f"""
from core.later import load_later
load_later("colorsys", "no_such_module")
stands = type(sys.modules["colorsys"]).__name__
{use}
import colorsys
print(json.dumps([stands, colorsys.rgb_to_hls(0, 0, 0), "no_such_module" in sys.modules]))""") == ["Later", [0.0, 0.0, 0.0], False]


def test_the_version_alone_loads_nothing():
    assert told("""
from core.later import load_later
load_later("charset_normalizer")
import charset_normalizer
print(json.dumps([bool(charset_normalizer.__version__), "charset_normalizer.cd" in sys.modules]))""") == [True, False]


def test_whoever_looks_through_all_modules_loads_nothing():
    assert told("""
import inspect
from core.later import load_later
load_later("colorsys")
inspect.getmodule(json.loads)
print(json.dumps(type(sys.modules["colorsys"]).__name__))""") == "Later"
