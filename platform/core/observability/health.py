"""Whether this process lives, and whether what it depends on can be used.

Each dependency is asked in a thread of its own, because a frozen server answers neither yes nor no. There is at most
one such thread a dependency: while it hangs, whoever asks waits for the same answer, and for 2 s at most.
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


class NotReady(Exception):
    """Raised by a check whose words may be shown to anybody."""


class Question:
    """One question to one dependency: the thread that asks, and what came of it. Nobody else writes its outcome."""

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self._name, self._ask, self._problem = name, ask, "no answer in time"
        self.thread = threading.Thread(target=self._run, name=f"readyz-{name}", daemon=True)
        self.thread.start()

    def answer(self, *, deadline: float) -> str:
        """Return "" when the dependency is usable, else what is wrong with it in a few words."""
        self.thread.join(max(0.0, deadline - time.monotonic()))
        return self._problem

    def _run(self) -> None:
        try:
            self._ask()
        except Exception as exc:  # noqa: BLE001  whatever it is, the dependency is not usable
            log.warning("readiness.failed", check=self._name, error=f"{exc.__class__.__name__}: {exc}")
            self._problem = str(exc) if isinstance(exc, NotReady) else "not usable"
        else:
            self._problem = ""
        finally:
            connection.close()   # this thread's own


@dataclass(slots=True)
class Check:
    """One dependency. `ask` raises when it cannot be used; nobody but the server's log learns why."""

    name: str
    ask: Callable[[], None]
    needed: bool = True
    """Whether this process is of no use without it."""
    about: Callable[[], str] | None = None
    """Which kind of it this installation has."""
    _open: Question | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> Question:
        """Return the question that is still open, else a new one; who asked reads the answer to this one, and to no later."""
        with self._lock:
            if self._open is None or not self._open.thread.is_alive():
                self._open = Question(self.name, self.ask)
            return self._open


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
    questions = {name: check.begin() for name, check in _checks.items()}   # all at once, then the answers
    problems = {name: question.answer(deadline=deadline) for name, question in questions.items()}
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
