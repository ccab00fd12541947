"""The library in an interpreter that has it and the drivers, and nothing else; its README's example there, on each store."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "locks" / "README.md"
DRIVERS = (
    "psycopg", "psycopg-binary", "typing_extensions", "cassandra-driver", "geomet", "click", "deprecated", "wrapt",
)
FOREIGN = {"django", "celery", "kombu", "prometheus_client", "structlog", "pydantic", "redis", "apps", "core", "config"}
PRELUDE = "import sys; sys.path.insert(0, sys.argv.pop(1))"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with the library and the drivers, as a virtual environment of its own would have them."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "locks").symlink_to(ROOT / "locks")
    for name in DRIVERS:
        found = importlib.metadata.distribution(name)
        for top in {Path(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            (folder / top).symlink_to(found.locate_file(top))
    return folder


def python(folder, code, *words, **environment):
    """Run code with neither this checkout nor this environment's packages on the path."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{PRELUDE}\n{code}", str(folder), *words],
        env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False, timeout=120,
    )


def example():
    """Return the first program of the README and what it says that this prints."""
    text = README.read_text()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    printed = re.search(r"It prints\n\n((?:    .*\n)+)", text)[1]
    return program, re.sub(r"^    ", "", printed, flags=re.MULTILINE)


def run_example(plain, tmp_path, url):
    program, _ = example()
    file = tmp_path / "example.py"
    file.write_text(program)
    return python(plain, "import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')", str(file), LOCKS_URL=url)


def test_it_imports_with_the_standard_library_alone(tmp_path):
    (tmp_path / "locks").symlink_to(ROOT / "locks")
    code = (
        "import locks, locks.testing.checker, locks.testing.network\n"
        "with locks.Locks(locks.open_store('memory://')).acquire('a') as lease: print(lease.token > 0)\n"
        "print([name for name in locks.__all__ if not hasattr(locks, name)])"
    )
    ran = python(tmp_path, code)

    assert (0, "True\n[]\n", "") == (ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("module", ["locks", "locks.stores.postgresql", "locks.stores.cassandra", "locks.stores.memory"])
def test_nothing_else_comes_with_it(plain, module):
    ran = python(plain, f"import {module}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))")

    assert (0, set()) == (ran.returncode, FOREIGN & set(ran.stdout.split()))


def test_what_is_not_there_would_be_missed(plain):
    assert "No module named 'django'" in python(plain, "import django").stderr


def test_the_example_runs_in_memory(plain, tmp_path):
    ran = run_example(plain, tmp_path, "memory://")

    assert (0, example()[1], "") == (ran.returncode, ran.stdout, ran.stderr)


def test_the_example_runs_on_postgresql(plain, tmp_path, empty_database):
    ran = run_example(plain, tmp_path, empty_database)

    assert (0, example()[1], "") == (ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.timeout(420)
def test_the_example_runs_on_cassandra(plain, tmp_path, ring):
    ran = run_example(plain, tmp_path, f"cassandra://{','.join(ring.direct.hosts)}:{ring.direct.port}/readme")

    assert (0, example()[1], "") == (ran.returncode, ran.stdout, ran.stderr)
