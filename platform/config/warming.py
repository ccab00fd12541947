"""What the first request of a web process would otherwise wait for: addresses with all that they import, and templates."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.template import engines
from django.urls import get_resolver
from django.utils import formats

from core.api import throttling

ROOMS = ("core", "jobs", "admin")   # folders of templates; what else lies beside them is of pages that nobody opens first


def warm() -> None:
    """Load it. Nothing is asked of a database, broker or cache: a process starts without them."""
    resolver = get_resolver()
    assert resolver.url_patterns   # noqa: S101  reading them imports the views and the admin
    resolver.reverse_dict          # noqa: B018  as above: names
    formats.get_format("DATE_FORMAT")
    throttling.window(settings.CACHE_URL, settings.RATE_LIMIT)
    engine: Any = engines["django"]
    engine.engine.template_context_processors   # noqa: B018  as above: imported when it is read
    for name in sorted(_templates(engine)):
        engine.get_template(name)


def _templates(engine: Any) -> set[str]:
    found = {file.name for folder in engine.dirs for file in Path(folder).glob("*.html")}
    for folder in map(Path, engine.template_dirs):
        found |= {str(file.relative_to(folder)) for room in ROOMS for file in (folder / room).rglob("*.html")}
    return found
