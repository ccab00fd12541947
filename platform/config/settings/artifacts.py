"""Where the files of artifacts are: a folder, or a bucket of S3."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

S3_OPTIONS = ("endpoint", "region", "addressing")


def problem_of(url: str) -> str:
    """Return what is wrong with ARTIFACTS_URL, or ""."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "" if not parts.netloc and parts.path.startswith("/") else "must name a whole path, as in file:///srv/artifacts"
    if parts.scheme != "s3" or not parts.hostname:
        return "must be file:///folder or s3://bucket/prefix?endpoint=https://…&region=…"
    if not (find_spec("storages") and find_spec("boto3")):
        return "needs what requirements/s3.txt installs, and this environment has not: pip install -r requirements/s3.txt"
    unknown = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if name not in S3_OPTIONS]
    if unknown:
        return f"has the option {unknown[0]!r}; known are {', '.join(S3_OPTIONS)}"
    addressing = dict(parse_qsl(parts.query)).get("addressing", "auto")
    return "" if addressing in {"auto", "path", "virtual"} else "takes addressing=auto, path or virtual"


def storage(url: str, *, data_dir: Path) -> dict[str, Any]:
    """Return the entry of STORAGES; without an address the files are in the data folder."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        folder = unquote(parts.path) if url else str(data_dir / "artifacts")
        return {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            # Nobody but the platform's own user and group has business there, and no web server serves it.
            "OPTIONS": {"location": folder, "base_url": None, "file_permissions_mode": 0o640, "directory_permissions_mode": 0o750},
        }
    query = dict(parse_qsl(parts.query))
    options = {
        "bucket_name": parts.netloc.rpartition("@")[2],
        "location": unquote(parts.path.strip("/")),
        "access_key": unquote(parts.username) if parts.username else None,   # else boto3 looks where it always does
        "secret_key": unquote(parts.password) if parts.password else None,
        "endpoint_url": query.get("endpoint"),
        "region_name": query.get("region"),
        "addressing_style": query.get("addressing"),
        "signature_version": "s3v4",
        "file_overwrite": True,            # names are random: to ask whether one is taken costs a request
        "max_memory_size": 1024 * 1024,    # what is larger is read by way of a temporary file
        "querystring_auth": True,
    }
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {name: value for name, value in options.items() if value is not None},
    }
