"""A hostile mail in a real browser: what it says is read, what it tries comes to nothing."""

import pytest
from django.contrib.auth.models import User
from django.core.signals import request_started

from tests.config.test_mails import a_mail, kept
from tests.support.browser import ALL_SCRIPTS, SCRIPTS, browser

__all__ = ["browser", "kept"]
pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a-long-enough-one"
THIEF = f"""<html><head><meta http-equiv="refresh" content="0;url=/stolen-by-refresh"><base href="/stolen/">
<link rel="stylesheet" href="/stolen-by-style"><style>@import "/stolen-by-import"; p {{ color: red; background: url(/stolen-by-css) }}</style>
</head><body onload="fetch('/stolen-by-load')"><p>Read me</p><img src="/stolen-by-image"><iframe src="/stolen-by-frame"></iframe>
<script>fetch("/stolen-by-script"); top.location = "/stolen-by-top"</script><object data="/stolen-by-object"></object>
<a id="top" href="/stolen-by-link" target="_top">x</a><a id="new" href="/stolen-by-window" target="_blank">x</a>
<a id="self" href="/admin/logout/?stolen">x</a><form action="/stolen-by-form" method="post"><button id="send">x</button></form>
{ALL_SCRIPTS}</body></html>"""


@pytest.fixture
def requested():
    """Every address that the server is asked for; the browser tells of those too that its policy kept back."""
    found = []

    def note(environ, **_):
        found.append(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])

    request_started.connect(note)
    yield found
    request_started.disconnect(note)


def test_a_mail_can_neither_run_nor_load_nor_lead_anywhere(browser, kept, requested):
    User.objects.create_superuser("root", password=PASSWORD)
    files = [(each.replace("/", "").replace("\\", ""), b"<script>fetch('/stolen-by-file')</script>") for each in SCRIPTS[:3]]
    name = a_mail(kept, subject=ALL_SCRIPTS, text=ALL_SCRIPTS, html=THIEF, files=files, recipients=[*SCRIPTS], X_Probe=SCRIPTS[0])
    browser.log_in("root", PASSWORD)
    browser.open("/mails")
    seen = [(browser.ran(), browser.stopped())]
    browser.open(f"/mails/{name}")
    seen.append((browser.ran(), browser.stopped()))
    frame = browser.page.frame(url=f"{browser.base}/mails/{name}/html")
    shown = frame.inner_text("p")
    for each in ("#top", "#new", "#send"):
        frame.click(each)
    browser.page.wait_for_load_state("networkidle")

    assert [(False, [])] * 2 == seen
    assert "Read me" == shown
    assert all(text in browser.text() for text in SCRIPTS[:3])
    assert f"/mails/{name}/html?" in requested
    assert [] == [url for url in requested if "stolen" in url]
    assert (f"{browser.base}/mails/{name}", 1) == (browser.page.url, len(browser.page.context.pages))
    assert [] == browser.errors


def test_its_html_does_nothing_outside_its_frame_either(browser, kept, requested):
    User.objects.create_superuser("root", password=PASSWORD)
    name = a_mail(kept, html=THIEF)
    browser.log_in("root", PASSWORD)
    browser.open(f"/mails/{name}/html")

    assert "Read me" == browser.page.inner_text("p")
    assert [] == [url for url in requested if "stolen" in url]
    assert [] == browser.errors


def test_on_a_phone_no_long_text_of_a_mail_makes_its_page_wider(browser, kept):
    User.objects.create_superuser("root", password=PASSWORD)
    long = "unbroken" * 25
    address = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example"
    name = a_mail(kept, subject=long, text=long, files=[(long, b"1")], recipients=[address], **{f"X-{'Long-' * 13}": long})
    browser.log_in("root", PASSWORD)
    browser.page.set_viewport_size({"width": 390, "height": 844})

    wider = {}
    for path in ("/mails", f"/mails/{name}"):
        browser.open(path)
        assert long in browser.text()
        wider[path] = browser.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    assert set(wider.values()) == {0}, wider
