"""The only reader of the environment. Each variable may also be given as a file: NAME_FILE=/path/of/a/secret."""

import difflib
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from config.settings import artifacts
from core.errors import Misconfigured
from core.mail import mailbox, relay
from core.sealing import keys

ROOT = Path(__file__).resolve().parents[3]
BROKERS = ("redis", "rediss", "sentinel", "amqp", "amqps")
DATABASES = ("postgresql", "postgres")
LOCKS = (*DATABASES, "cassandra")
CACHES = ("redis", "rediss")
PREFIX = "JOBS_"   # ours alone: an unknown one is a misspelling


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not (parts.hostname or "@" in value or "/" in parts.path)):
            expected = ", ".join(f"{scheme}://" for scheme in schemes)
            msg = f"must be an address that begins with one of {expected}"
            raise ValueError(msg)
        return value

    return AfterValidator(check)


def _split(value: str) -> list[str]:
    words = [part.strip() for part in value.split(",") if part.strip()]
    if value and not words:
        msg = "names nothing: unset it, or give words that are separated by commas"
        raise ValueError(msg)
    return words


def _words(value: str) -> str:
    for word in _split(value):
        if any(character.isspace() for character in word):
            msg = f"must be separated by commas, and {word!r} holds a space"
            raise ValueError(msg)
    return value


def _rate(value: str) -> str:
    amount, _, period = value.partition("/")
    if not amount.isdecimal() or int(amount) < 1 or period not in {"second", "minute", "hour", "day"}:
        msg = "must look like 60/minute (a number, a slash, then second, minute, hour or day)"
        raise ValueError(msg)
    return value


def _networks(value: str) -> str:
    for word in _split(value):
        try:
            ipaddress.ip_network(word)
        except ValueError as exc:
            msg = f"{word!r} is no address and no network: write 10.0.0.7 or 10.0.0.0/8"
            raise ValueError(msg) from exc
    return value


def _artifacts(value: str) -> str:
    if value and (problem := artifacts.problem_of(value)):
        raise ValueError(problem)
    return value


def _relay(value: str) -> str:
    relay.parse(value)
    return value


def _mailbox(value: str) -> str:
    mailbox.parse(value)
    return value


def _seal_keys(value: str) -> str:
    keys.check(_split(value))
    return value


class Environment(BaseModel):
    """Everything that can be set from outside, with its default. What is set to nothing counts as not set."""

    model_config = ConfigDict(frozen=True)

    DATABASE_URL: Annotated[str, _url(*DATABASES)] = ""
    BROKER_URL: Annotated[str, _url(*BROKERS)] = ""
    CACHE_URL: Annotated[str, _url(*CACHES)] = ""
    LOCKS_URL: Annotated[str, _url(*LOCKS)] = ""
    SECRET_KEY: str = ""
    SEAL_KEYS: Annotated[str, AfterValidator(_seal_keys)] = ""
    ALLOWED_HOSTS: Annotated[str, AfterValidator(_words)] = ""
    DEBUG: bool = False
    DATA_DIR: Path = ROOT / ".data"
    PORT: int = Field(8000, ge=1, le=65535)
    JOB_MODULES: Annotated[str, AfterValidator(_words)] = ""
    RATE_LIMIT: Annotated[str, AfterValidator(_rate)] = "60/minute"
    LOGIN_RATE_LIMIT: Annotated[str, AfterValidator(_rate)] = "10/minute"
    LOGIN_RATE_LIMIT_ACCOUNT: Annotated[str, AfterValidator(_rate)] = "30/hour"
    READ_ONLY: bool = False
    AUDIT_ENQUEUE: bool = True
    TRUSTED_PROXIES: Annotated[str, AfterValidator(_networks)] = ""
    METRICS_TOKEN: str = ""
    FLOWER_URL: Annotated[str, _url("http", "https")] = ""
    JOBS_LEASE_SECONDS: float = Field(30.0, ge=1, le=3600)
    JOBS_GUARD: Literal["none", "worker", "job"] | None = None
    JOBS_TICKETS: int = Field(20, ge=1, le=1000)
    JOBS_SHELF_DIR: Path = Path("/dev/shm")   # noqa: S108  see `Config.shelf_dir`
    JOBS_METRICS_PORT: int = Field(0, ge=0, le=65535)
    JOBS_STOP_GRACE_SECONDS: float = Field(25.0, ge=0, le=3600)
    JOBS_RETENTION_DAYS: int = Field(7, ge=1, le=3650)
    ARTIFACTS_URL: Annotated[str, AfterValidator(_artifacts)] = ""
    ARTIFACT_MAX_BYTES: int = Field(50 * 1024 * 1024, ge=1, le=5 * 1024**3)
    ARTIFACTS_PER_JOB: int = Field(100, ge=1, le=10_000)
    ARTIFACT_KEEP_DAYS: int = Field(7, ge=1, le=3650)
    REPORT_MAX_BYTES: int = Field(512 * 1024 * 1024, ge=1, le=5 * 1024**3)
    IMAGE_MAX_PIXELS: int = Field(50_000_000, ge=1_000_000, le=89_000_000)   # above, Pillow warns by itself
    OUTGOING_ALLOW_PRIVATE: bool | None = None
    EMAIL_URL: Annotated[str, AfterValidator(_relay)] = ""
    EMAIL_FROM: Annotated[str, AfterValidator(_mailbox)] = "Latchwork <latchwork@localhost>"
    EMAIL_MAX_BYTES: int = Field(25 * 1024 * 1024, ge=64 * 1024, le=100 * 1024 * 1024)
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    LOG_FORMAT: Literal["json", "console"] = "json"

    def words(self, name: str) -> list[str]:
        """Return a comma-separated variable as a list, without blanks."""
        return _split(getattr(self, name))


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the checked environment; raise `Misconfigured` that names each wrong variable and its fix."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name in Environment.model_fields:
        if path := environ.get(f"{name}_FILE"):
            if name in environ:
                problems.append(f"{name} and {name}_FILE are both set: keep one of them")
            try:
                text = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as exc:
                problems.append(f"{name}_FILE={path} cannot be read ({exc.__class__.__name__}): give a readable file")
                continue
            if text:
                values[name] = text
            else:   # whoever names a file means what stands in it
                problems.append(f"{name}_FILE={path} is empty: write the value into it, or unset {name}_FILE")
        elif environ.get(name, "").strip():
            values[name] = environ[name].strip()
    known = [*Environment.model_fields, *(f"{name}_FILE" for name in Environment.model_fields)]
    for name in environ:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85 if name.startswith("JOB") else 1.0)
        if name not in known and (near or name.startswith(PREFIX)):
            ours = ", ".join(other for other in Environment.model_fields if other.startswith(PREFIX))
            hint = f"did you mean {near[0]}?" if near else f"known are {ours}"
            problems.append(f"{name} is not a setting: {hint}")
    environment = None
    try:
        environment = Environment(**values)
    except ValidationError as exc:
        for error in exc.errors():
            name = str(error["loc"][0])
            reason = error["msg"].removeprefix("Value error, ")
            problems.append(f"{name}{_shown(name, error['input'])}: {reason}")
    if problems or environment is None:
        raise Misconfigured(problems)
    return environment


def _shown(name: str, value: object) -> str:
    """Return what may be printed of a wrong value: nothing where a password may stand."""
    return "" if name in {"SECRET_KEY", "SEAL_KEYS", "METRICS_TOKEN"} or name.endswith("_URL") else f"={value}"
