"""What the operator needs at hand once everything runs."""

import json
import shlex

from django.conf import settings

from core.devserver.console import Console
from core.devserver.stack import ADMIN, Stack

BOLD, DIM, GREEN = "1", "2", "1;32"


def banner(stack: Stack, *, names: tuple[str, ...], console: Console, seconds: float) -> str:
    """Return the block that is printed when everything is ready."""
    paint = console.paint
    rows: list[tuple[str, str, str]] = []
    if "web" in names:
        password = stack.login()
        login = f"{ADMIN} / {password}" if password else f"{ADMIN}, with the password that it has there"
        rows += [("Web", f"{stack.url}/", ""), ("Admin", f"{stack.url}/admin/", login)]
        rows.append(("API", f"{stack.url}/api/v1/docs", "with the token below"))
    if {"web", "mail"} <= set(names) and stack.mail_port is not None:
        rows.append(("Mails", f"{stack.url}/mails", "what email.send has sent here; nothing leaves this machine"))
    if "flower" in names:
        rows.append(("Flower", stack.flower_url, f"{ADMIN} / {stack.flower_password}"))
    width = max((len(url) for _, url, _ in rows), default=0)
    lines = [f"  {paint(f'{name:<7}', DIM)} {paint(f'{url:<{width}}', BOLD)}  {note}".rstrip() for name, url, note in rows]
    if token := stack.token():
        lines.append(f"  {paint('Token  ', DIM)} {token}")
    if "web" in names and token:
        lines += ["", *(f"  {line}" for line in curl(url=stack.url, token=token))]
    if settings.OUTGOING_ALLOW_PRIVATE:
        lines += ["", f"  {paint('Jobs may call this machine: OUTGOING_ALLOW_PRIVATE is on with these settings, in production it is off.', DIM)}"]
    head = paint(f"Latchwork is ready after {seconds:.1f} s.", GREEN)
    foot = paint("Ctrl-C stops everything; what is stored stays.", DIM)
    return "\n".join(["", f"  {head}  {foot}", "", *lines, ""])


def curl(*, url: str, token: str) -> list[str]:
    """Return a command that makes a first job, as it is typed."""
    job = {"type": "http.request", "payload": {"method": "GET", "url": f"{url}/healthz"}}
    return [
        f"curl -s {url}/api/v1/jobs -H {shlex.quote(f'Authorization: Bearer {token}')} \\",
        f"     -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(job))}",
    ]
