"""What somebody at the admin does: they open a list, choose rows, confirm."""

import html
import re
import uuid
from typing import Any

from django.test import Client
from django.urls import reverse

JOBS = "admin:jobs_job_changelist"


def rows(client: Client, model: str = "job", **query: Any) -> list[Any]:
    """Return the rows that a list shows."""
    answer = client.get(reverse(f"admin:jobs_{model}_changelist"), query)
    assert answer.status_code == 200, answer.status_code
    return list(answer.context["cl"].result_list)


def listed(client: Client, **query: Any) -> list[uuid.UUID]:
    return [job.pk for job in rows(client, **query)]


def said(answer: Any) -> list[str]:
    """Return the messages on a page, from its text: contexts of test clients in several threads are mixed up."""
    found = re.search(r'<ul class="messagelist">(.*?)</ul>', answer.content.decode(), re.DOTALL)
    return [html.unescape(each) for each in re.findall(r"<li[^>]*>(.*?)</li>", found[1], re.DOTALL)] if found else []


def ask(client: Client, operation: str, *keys: Any, model: str = "job", app: str = "jobs") -> Any:
    """Press the button of an operation: the answer is the page that asks."""
    form = {"action": operation, "_selected_action": [str(key) for key in keys]}
    return client.post(reverse(f"admin:{app}_{model}_changelist"), form)


def press(client: Client, operation: str, *keys: Any, model: str = "job", app: str = "jobs", reason: str = "a test") -> list[str]:
    """Press the button, and confirm with a reason; return what is said."""
    form = {
        "action": operation, "_selected_action": [str(key) for key in keys], "confirm": operation, "reason": reason,
    }
    return said(client.post(reverse(f"admin:{app}_{model}_changelist"), form, follow=True))
