"""Text of others, shown as text: payloads, errors, names. Whatever it holds, a browser is told that it is text."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils.html import format_html

LONGEST = 50_000   # characters that a page shows of one value


def block(text: str) -> str:
    """Return text with its line breaks, cut where nobody reads on."""
    rest = len(text) - LONGEST
    shown = text if rest <= 0 else f"{text[:LONGEST]}\n… and {rest} characters more"
    return format_html('<pre class="lw-text" tabindex="0">{}</pre>', shown)


def json_block(value: Any) -> str:
    """Return a JSON value as text."""
    return "-" if value is None else block(json.dumps(value, indent=2, ensure_ascii=False))


def link(address: str, text: Any) -> str:
    """Return a link to an address of ours, or of a setting."""
    return format_html('<a href="{}">{}</a>', address, text)


def page_of(model: str, key: Any, text: Any = None) -> str:
    """Return a link to the page of a row: `jobs_worker`."""
    return link(reverse(f"admin:{model}_change", args=[quote(key)]), key if text is None else text)


def list_of(model: str, text: Any, **narrowed: Any) -> str:
    """Return a link to a list that is narrowed: `jobs_job`, by `queue="mail"`."""
    return link(f"{reverse(f'admin:{model}_changelist')}?{urlencode(narrowed)}", text)
