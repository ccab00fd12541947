"""A real browser that looks at the site, and tells what its Content-Security-Policy stopped and what ran all the same."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support import components

PROBE = "probed"   # a script that a page should never run sets this on its window
WATCH = f"""
window.__stopped = [];
document.addEventListener("securitypolicyviolation", event =>
  window.__stopped.push(`${{event.effectiveDirective}} ${{event.blockedURI}} ${{event.sourceFile || ""}}`));
window.__ran = () => window.{PROBE} !== undefined;
"""
SCRIPTS = (
    f"<script>window.{PROBE}=1</script>",
    f'"><img src=x onerror="window.{PROBE}=1">',
    f"</script><script>window.{PROBE}=1</script>",
    f"'><svg onload=window.{PROBE}=1>",
    f"{{{{constructor.constructor('window.{PROBE}=1')()}}}}",
    f"javascript:window.{PROBE}=1",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
)
ALL_SCRIPTS = " ".join(SCRIPTS)


@dataclass(frozen=True, slots=True)
class Browser:
    """One page of a browser of its own."""

    page: Any
    base: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go there and wait until nothing loads any more."""
        answer = self.page.goto(self.base + path, wait_until="networkidle")
        assert answer.status < 400, f"{path} answered {answer.status}"

    def text(self) -> str:
        """Return what a person reads."""
        return str(self.page.inner_text("body"))

    def stopped(self) -> list[str]:
        """Return what the policy of this page stopped."""
        return list(self.page.evaluate("window.__stopped"))

    def ran(self) -> bool:
        """Tell whether a probe ran on this page."""
        return bool(self.page.evaluate("window.__ran()"))

    def log_in(self, name: str, password: str) -> None:
        """Enter the admin through its form."""
        self.open("/admin/login/?next=/admin/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("[type=submit]")
        self.page.wait_for_url(f"{self.base}/admin/")


def executable() -> str:
    """Return the Chromium of this machine."""
    given = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not given:
        components.absent("Chromium", because="there is no chromium on the PATH; CHROMIUM may name one")
    return given


@pytest.fixture
def browser(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser that looks at the test's server."""
    from django.db import connections
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, where Django then takes each query for one of a coroutine.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        context = chromium.new_context()
        context.add_init_script(WATCH)
        page = context.new_page()
        found = Browser(page=page, base=live_server.url)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("dialog", lambda dialog: (found.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        yield found
        context.close()
        chromium.close()
        connections.close_all()   # with a loop in this thread, Django has opened others than outside
