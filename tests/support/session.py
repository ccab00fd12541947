"""Start PostgreSQL and Valkey for the test session, before Django reads its settings; they die with pytest.

What is given by DATABASE_URL and BROKER_URL is used instead; tests that kill a server then have none to kill.
"""

import contextlib
import fcntl
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from core.devserver.postgres import Postgres
from core.devserver.server import Server
from core.devserver.valkey import Valkey
from tests.support import components, lanes

CACHE = Path(__file__).resolve().parents[2] / ".cache"
PREFIX = "tests-"
FAST = {"fsync": "off", "full_page_writes": "off"}   # these servers see killed processes, never a power cut
SERVERS: list[Server] = []
Kind = TypeVar("Kind", bound=Server)


@pytest.hookimpl(wrapper=True, tryfirst=True)   # a wrapper, because pytest-django reads the settings in this hook
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    options = early_config.known_args_namespace
    if options.help or options.version or options.collectonly or lanes.are_asked_for(options):
        return (yield)
    with contextlib.ExitStack() as stack:
        data_dir = stack.enter_context(folder())
        os.environ.pop("DATA_DIR_FILE", None)
        os.environ["DATA_DIR"] = str(data_dir)
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(CACHE))   # tmp_path too stays in the checkout
        stack.enter_context(stores(data_dir))
        early_config.add_cleanup(stack.pop_all().close)   # also after Ctrl-C and after an error while collecting
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for component, reason in sorted(components.ABSENT.items()):
        terminalreporter.write_line(f"Absent: {component} ({reason}); what needs it was skipped", yellow=True)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder of this session in the checkout, and remove those of sessions that were killed."""
    CACHE.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        with (CACHE / "tests.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)   # else a session that starts now finds ours before we hold it
            for other in CACHE.glob(f"{PREFIX}*"):
                with contextlib.suppress(OSError), (other / "lock").open("a") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(other, ignore_errors=True)
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=CACHE))
            fcntl.flock(stack.enter_context((path / "lock").open("w")), fcntl.LOCK_EX)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def stores(data_dir: Path) -> Iterator[None]:
    """Start what is not given, both at once, and tell the settings by the environment as anywhere else."""
    postgres, valkey = Postgres(data_dir=data_dir, settings=FAST), Valkey(data_dir=data_dir)
    urls: dict[str, tuple[Server, Callable[[], str]]] = {
        "DATABASE_URL": (postgres, postgres.url),
        "BROKER_URL": (valkey, valkey.url),
        "CACHE_URL": (valkey, functools.partial(valkey.url, 1)),
    }
    absent = [name for name in urls if not (os.environ.get(name) or os.environ.get(f"{name}_FILE"))]
    SERVERS.extend(dict.fromkeys(urls[name][0] for name in absent))
    try:
        for server in SERVERS:
            server.launch()
        for server in SERVERS:
            server.wait_ready()
        os.environ.update({name: urls[name][1]() for name in absent})
        yield
    finally:
        for server in SERVERS:
            server.kill()   # nobody reads these data again


def running(kind: type[Kind]) -> Kind:
    """Return a server of the session as the tests may treat it, skipping where it is somebody else's."""
    server = next((server for server in SERVERS if isinstance(server, kind)), None)
    if server is None:
        components.absent(f"a {kind.title} of our own", because="one is given by its address, and may not be killed")
    return server


def repaired(server: Kind) -> Iterator[Kind]:
    """Lend a server to a test, and leave it running for the next one whatever the test did to it."""
    yield server
    server.resume()
    if not server.running:
        server.start()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL, to be killed, stalled, resumed and restarted."""
    yield from repaired(running(Postgres))


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """The session's Valkey, to be killed, stalled, resumed and restarted."""
    yield from repaired(running(Valkey))


@pytest.fixture(autouse=True)
def _locks_given_back() -> Iterator[None]:
    """Close what a test has used of the process's locks: their connections would keep the test's database from being dropped."""
    yield
    if shared := sys.modules.get("core.locking.shared"):
        shared.close()
