"""Whether this process lives, and whether what it depends on can be used.

Each dependency is asked in a thread of its own, because a frozen server answers neither yes nor no. There is at most
one such thread a dependency: while it hangs, its next question is answered with "still waiting" at once.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import celery
import structlog
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

SECONDS = 2.0
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Check:
    """One dependency. `ask` raises when it cannot be used; nobody but the server's log learns why."""

    name: str
    ask: Callable[[], None]
    needed: bool = True
    """Whether this process is of no use without it."""
    about: Callable[[], str] | None = None
    """Which kind of it this installation has."""
    _thread: threading.Thread | None = None
    _problem: str = "not asked yet"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Start asking, unless the last question is still open."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._problem = "no answer in time"
                self._thread = threading.Thread(target=self._run, name=f"readyz-{self.name}", daemon=True)
                self._thread.start()

    def end(self, *, deadline: float) -> str:
        """Return "" when the dependency is usable, else what is wrong with it in a few words."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self._problem

    def _run(self) -> None:
        try:
            self.ask()
        except Exception as exc:  # noqa: BLE001  whatever it is, the dependency is not usable
            log.warning("readiness.failed", check=self.name, error=f"{exc.__class__.__name__}: {exc}")
            self._problem = str(exc) if isinstance(exc, NotReady) else "not usable"
        else:
            self._problem = ""
        finally:
            connection.close()   # this thread's own


class NotReady(Exception):
    """Raised by a check whose words may be shown to anybody."""


_checks: dict[str, Check] = {}


def register(
    name: str, ask: Callable[[], None], *, needed: bool = True, about: Callable[[], str] | None = None,
) -> None:
    """Add a dependency to `/readyz`. One that is not `needed` is named there, and makes nobody unready."""
    _checks[name] = Check(name, ask, needed=needed, about=about)


@require_safe
@never_cache
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer that the process lives; depends on nothing."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer whether each dependency can be used now: 200, or 503 when a needed one cannot."""
    deadline = time.monotonic() + SECONDS
    for check in _checks.values():
        check.begin()
    problems = {name: check.end(deadline=deadline) for name, check in _checks.items()}
    checks = {
        name: {
            **({"store": check.about()} if check.about else {}),
            **({"status": "unusable", "detail": problem} if (problem := problems[name]) else {"status": "ok"}),
        }
        for name, check in _checks.items()
    }
    ready = not any(problems[name] for name, check in _checks.items() if check.needed)
    return JsonResponse({"status": "ready" if ready else "unready", "checks": checks}, status=200 if ready else 503)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    with celery.current_app.connection_for_write() as broker:
        broker.connect()   # a new connection asks a real question: the transports ping or shake hands


def _cache() -> None:
    cache.get("readyz")


class _Migrations:
    """Asks until the answer was yes once: migrations are not taken back under a running process."""

    def __init__(self) -> None:
        self.applied = False

    def __call__(self) -> None:
        if not self.applied:
            executor = MigrationExecutor(connection)
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if missing:
                raise NotReady(f"{len(missing)} migrations are not applied: run manage.py migrate")
            self.applied = True


register("database", _database)
register("broker", _broker)
register("cache", _cache)
register("migrations", _Migrations())
