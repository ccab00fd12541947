"""The job types of this process: names are permanent, because rows carry them."""

import inspect
import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import pydantic
from pydantic_core import ErrorDetails
from structlog.typing import FilteringBoundLogger

from apps.jobs import locking
from apps.jobs.errors import (
    TOLD,
    DuplicateJobType,
    InvalidJob,
    InvalidPayload,
    PayloadModelFailed,
    Problem,
    UnknownJobType,
)
from apps.jobs.outcomes import JSON, Outcome
from apps.jobs.retry import Exponential, RetryPolicy
from apps.jobs.sealing import Sealing, sealing
from core.api.roles import Role
from core.sealing.form import NoSealKey, Way

NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")   # in JSON text; after an escaped backslash it is only text
MAX_PAYLOAD_BYTES = 256 * 1024
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class Transaction(Protocol):
    """What `job.transaction()` gives: the handler's own database transaction, opened under the fence."""

    def complete(self, result: JSON = None) -> None:
        """Complete the job in this transaction: the effect and the completion are one commit."""


class Context(Protocol):
    """What a handler knows of its attempt, and what it can ask and say while it runs."""

    id: uuid.UUID
    type: str
    attempt: int
    fence: int
    lock_token: int | None
    deadline: datetime
    logger: FilteringBoundLogger

    def check(self) -> None:
        """Raise `Cancelled`, `LeaseLost` or `DeadlineExceeded` when going on is pointless. Call it in long loops."""

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the work is; shown in API and console, written at most twice a second, and at the end of the attempt."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Open a transaction in which this attempt provably holds the job; raise `Fenced` when it does not."""

    def step_key(self, name: str) -> str:
        """Return a key that is the same in every attempt, for idempotency at other systems."""

    def save_artifact(
        self, name: str, file: BinaryIO | bytes | Path, *, keep: timedelta | None = None, most_bytes: int | None = None,
    ) -> uuid.UUID:
        """Keep a file of this job and return its id; the same name again keeps the id and gets the new file.

        `keep` and `most_bytes` stand in for the settings that say how long and how large. Raise `Fenced` when the attempt
        no longer holds the job, `InvalidArtifact` for what breaks a limit: then nothing is kept. What an attempt has
        saved stays, also when it fails afterwards.
        """


Handler = Callable[[Any, Any], Outcome | JSON]
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A registered name with everything that an attempt of it needs."""

    name: str
    handler: Handler
    payload: type[pydantic.BaseModel]
    payload_version: int
    queue: str
    priority: int
    max_attempts: int
    timeout: timedelta
    retry: RetryPolicy
    batch: int
    result: bool
    enqueue_role: Role = Role.OPERATOR
    act_role: Role | Callable[[Any], Role] | None = None
    sealing: Sealing | None = None
    lock: locking.Lock | None = None
    guard: bool = False
    """Whether each attempt holds the lock of its job's own id."""

    @property
    def sensitive(self) -> frozenset[Way]:
        """The ways to what is stored sealed of the payload."""
        return self.sealing.ways if self.sealing is not None else frozenset()

    @property
    def description(self) -> str:
        """The first paragraph of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").partition("\n\n")[0]

    def role_to_act(self, payload: Callable[[], Any]) -> Role:
        """Return the least role that may do anything to a job; `payload` gives what is stored, and is asked only if it matters."""
        if self.act_role is None:
            return self.enqueue_role
        return self.act_role if isinstance(self.act_role, Role) else self.act_role(payload())

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the payload."""
        schema = self.payload.model_json_schema()
        return schema if self.sealing is None else self.sealing.described(schema)

    def check(self, payload: object) -> str:
        """Return the payload as JSON text, checked against the model; raise `InvalidJob` with a pointer a problem.

        What is stored is what the caller gave, not what the model made of it: defaults belong to the code that runs.
        Sealed fields are sealed in it.
        """
        if self.sealing is None:
            return self._checked(payload)
        failed: Exception
        try:
            text = self.sealing.seal(self._checked(payload))
            _bound(len(text.encode()))
        except InvalidJob as exc:
            failed = InvalidJob(exc.problems)
        except NoSealKey:
            raise
        except Exception as exc:  # noqa: BLE001  a model may raise anything, with the value in its text
            failed = PayloadModelFailed(type(exc).__name__)
        else:
            return text
        raise failed   # behind the clause: nothing that shows the input is its context

    def lock_key(self, text: str) -> str | None:
        """Return the name of the lock that a checked payload asks for; raise `InvalidJob` with a pointer a problem."""
        return self.lock.key(self.read(text)) if self.lock is not None else None

    def read(self, text: str) -> pydantic.BaseModel:
        """Return a stored payload as the handler gets it; raise pydantic's error, or `InvalidPayload` with sealed fields."""
        if self.sealing is None:
            return self.payload.model_validate_json(text)
        failed: Exception
        payload = self.sealing.opened(json.loads(text))
        try:
            return self.payload.model_validate_json(_ENCODER.encode(payload))
        except pydantic.ValidationError as exc:
            failed = InvalidPayload(str(InvalidJob(self._problems(exc, payload))))
        except Exception as exc:  # noqa: BLE001  as above
            failed = PayloadModelFailed(type(exc).__name__)
        raise failed   # as above

    def _checked(self, payload: object) -> str:
        sealed = self.sealing
        try:
            if isinstance(payload, pydantic.BaseModel):
                payload = sealed.dumped(payload) if sealed else payload.model_dump(mode="json", by_alias=True)
            text = _ENCODER.encode(payload)
            size = len(text.encode())
        except (TypeError, ValueError, RecursionError) as exc:
            why = type(exc).__name__ if sealed else exc
            raise InvalidJob([Problem("/payload", f"is not JSON that can be stored: {why}")]) from exc
        if "\\u0000" in text and NUL.search(text):
            raise InvalidJob([Problem("/payload", "holds a NUL character, which cannot be stored: remove it")])
        _bound(size)
        if sealed is not None:
            sealed.refuse(payload)
        try:
            self.payload.model_validate_json(text)
        except pydantic.ValidationError as exc:
            raise InvalidJob(self._problems(exc, payload)) from exc
        return text

    def _problems(self, exc: pydantic.ValidationError, payload: object) -> Iterator[Problem]:
        for error in exc.errors(include_url=False):
            place = list(_place(error, payload))
            if error["type"] == TOLD:
                place += error.get("ctx", {}).get("field", ())
            if self.sealing is not None:
                yield self.sealing.problem(error, place)
            else:
                yield Problem("/payload" + "".join(f"/{_escaped(part)}" for part in place), error["msg"])


def _bound(size: int) -> None:
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidJob([Problem("/payload", f"has {size} bytes: at most {MAX_PAYLOAD_BYTES} are stored in a job")])


def _place(error: ErrorDetails, payload: object) -> Iterator[object]:
    """Yield the way to what is wrong, without the names of union members that pydantic writes in between."""
    for number, part in enumerate(error["loc"], start=1):
        try:
            payload = payload[part]   # type: ignore[index]  # what cannot be asked raises, too
            yield part
        except (TypeError, LookupError):
            if error["type"] == "missing" and number == len(error["loc"]):
                yield part


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


class Anything(pydantic.RootModel[Any]):
    """The payload of a type that declares none: any JSON."""


_types: dict[str, JobType] = {}


def job_type(
    name: str,
    *,
    payload: type[pydantic.BaseModel] = Anything,
    payload_version: int = 1,
    queue: str = "default",
    priority: int = 5,
    max_attempts: int = 5,
    timeout: timedelta = timedelta(minutes=5),
    retry: RetryPolicy | None = None,
    batch: int = 100,
    result: bool = True,
    sensitive: Sequence[str] = (),
    enqueue_role: Role = Role.OPERATOR,
    act_role: Role | Callable[[Any], Role] | None = None,
    lock: str = "",
    lock_lease: timedelta = locking.LEASE,
    on_busy: locking.OnBusy = "snooze",
    guard: bool = False,
) -> Callable[[HandlerT], HandlerT]:
    """Register the decorated handler under a permanent name.

    Short jobs are handed to a process several at a time, at most `batch`; give 1 for a type that must have its own.
    With `result=False` what the handler returns is not stored. Raise `payload_version` when old workers cannot read the
    new payload: they will leave such rows to new ones. `sensitive` names what of the payload is stored sealed, and opened
    for the handler alone: `card`, `sign.secret`, `headers.*`, see `docs/how-to/sealed-fields.md`.
    People need `enqueue_role` to ask for such a job and `act_role`, which may depend on its stored payload, to retry, run, cancel
    or discard it; by default the same. It only adds to what the action itself asks for: a discard needs an admin anyway. Code may
    enqueue any type.
    `lock` names the lock that an attempt holds, after members of the payload: `payment:{order_id}`. Jobs of one name run one
    after the other, the oldest first, and the handler gets the lock's token. While somebody else than a job holds it,
    `on_busy` says whether the job comes back later, is put away as a dead letter, or waits in the worker. With `guard` each
    attempt holds the lock of its own job's id.
    """
    if not NAME.fullmatch(name):
        msg = f"{name!r} is no name for a job type: use lower-case words joined by dots, such as email.send"
        raise ValueError(msg)
    if not QUEUE.fullmatch(queue):
        msg = f"{name}: {queue!r} is no name for a queue: use letters, digits, dots, dashes and underscores"
        raise ValueError(msg)
    if not 0 <= priority <= 9 or not 1 <= max_attempts <= 1000 or timeout <= timedelta(0) or payload_version < 1 or batch < 1:
        msg = f"{name}: priority is 0 (first) to 9, max_attempts 1 to 1000, timeout, payload_version and batch above 0"
        raise ValueError(msg)
    sealed = None
    if sensitive:
        sealed = sealing(name, payload, [sensitive] if isinstance(sensitive, str) else sensitive)
    if lock and guard:
        msg = f"{name}: an attempt has one token: give it either a lock or guard=True"
        raise ValueError(msg)
    named = locking.lock(
        name, lock, model=payload, lease=lock_lease, on_busy=on_busy, sealed=sealed.ways if sealed else frozenset(),
    ) if lock else None

    def register(handler: HandlerT) -> HandlerT:
        if name in _types:
            raise DuplicateJobType(name)
        _types[name] = JobType(
            name=name, handler=handler, payload=payload, payload_version=payload_version, queue=queue,
            priority=priority, max_attempts=max_attempts, timeout=timeout, retry=retry or Exponential(), batch=batch, result=result,
            enqueue_role=enqueue_role, act_role=act_role, sealing=sealed, lock=named, guard=guard,
        )
        return handler

    return register


def get(name: str) -> JobType:
    """Return a type, or raise `UnknownJobType`, which lists the known."""
    try:
        return _types[name]
    except KeyError:
        raise UnknownJobType(name, known=_types) from None


def find(name: str) -> JobType | None:
    """Return a type, or None when this process does not know it."""
    return _types.get(name)


def names() -> list[str]:
    """Return all names in order."""
    return sorted(_types)


def all_types() -> Iterator[JobType]:
    """Yield all types in the order of their names."""
    return (_types[name] for name in names())


def queues() -> set[str]:
    """Return the queues that the types name."""
    return {each.queue for each in _types.values()}
