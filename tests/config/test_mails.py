"""/mails: who may read them, and that what comes in a mail stays what it is: text."""

import re
import subprocess
import sys
import uuid
from email.message import EmailMessage
from pathlib import Path

import pytest

from config import mails as pages
from core.devserver.mails import Mails
from tests.config.test_pages import STRICT, Page, content
from tests.config.test_permission_matrix import LOG_IN_PAGES
from tests.support.environment import environment

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
PROBE = """<script>alert(1)</script><img src=x onerror=alert(1)>"'</pre></title>"""


@pytest.fixture
def kept(settings, tmp_path):
    settings.MAILS_DIR = tmp_path / "mails"
    return Mails(settings.MAILS_DIR)


def a_mail(kept, *, subject="Hello", text="A line.", html=None, files=(), recipients=("a@example.com",), **headers):
    message = EmailMessage()
    message["Subject"], message["From"] = subject, "Shop <shop@example.com>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for name, data in files:
        message.add_attachment(data, maintype="text", subtype="html", filename=name)
    return kept.keep(message.as_bytes(), sender="shop@example.com", recipients=list(recipients))


def addresses(name):
    return {route: "/" + route.replace("<uuid:name>", str(name)).replace("<int:number>", "0") for route in LOG_IN_PAGES}


def test_every_page_is_named_here():
    assert {str(route.pattern) for route in pages.urls()} == LOG_IN_PAGES


@pytest.mark.parametrize("route", sorted(LOG_IN_PAGES))
def test_a_page_is_for_whoever_may_open_the_admin(route, kept, client, admin_client, django_user_model):
    address = addresses(a_mail(kept, html="<p>", files=[("a", b"1")]))[route]
    somebody = django_user_model.objects.create_user("somebody", password="their own")
    anonymous = client.get(address)
    client.force_login(somebody)
    known = client.get(address)

    assert [302, 302, 200] == [anonymous.status_code, known.status_code, admin_client.get(address).status_code]
    assert all(answer["Location"].startswith("/admin/login/?next=/mails") for answer in (anonymous, known))
    assert 405 == admin_client.post(address).status_code


def test_the_list_shows_the_newest_first_with_whom_they_are_for(kept, admin_client):
    for number in range(3):
        a_mail(kept, subject=f"Grüße {number}", recipients=("to@example.com", "blind@example.com"))
    text = content(admin_client.get("/mails"))

    assert ["2", "1", "0"] == re.findall(r"Grüße (\d)", text)
    assert 3 == text.count("to to@example.com, blind@example.com")
    assert not Page(text).inline


def test_without_mails_the_page_says_how_to_send_one(kept, admin_client):
    assert "jobs_enqueue email.send" in content(admin_client.get("/mails"))


def test_a_mail_shows_its_text_headers_and_files(kept, admin_client):
    name = a_mail(kept, text="Zeile ä\n", html="<b>x</b>", files=[("a b.html", b"<i>")], X_Order="7")
    text = content(admin_client.get(f"/mails/{name}"))

    assert all(each in text for each in ("Zeile ä", "<dt>X-Order</dt>", "a b.html", "text/html, 3"))
    assert [f"/mails/{name}/html"] == [each for each in Page(text).loads if "/mails" in each]
    assert '<iframe class="foreign" sandbox title' in text   # sandbox without a word allows nothing


def test_what_a_mail_holds_is_shown_and_never_runs(kept, admin_client):
    name = a_mail(
        kept, subject=PROBE, text=PROBE, html=PROBE, files=[(PROBE.replace("/", ""), PROBE.encode())], recipients=(PROBE,),
        X_Probe=PROBE)
    for address in ("/mails", f"/mails/{name}"):
        response = admin_client.get(address)
        text = content(response)

        assert ("<script" not in text, "<img" not in text, not Page(text).inline) == (True, True, True)
        assert "script-src 'self'" in response["Content-Security-Policy"]
        assert "unsafe" not in response["Content-Security-Policy"]


def test_the_html_of_a_mail_may_do_nothing(kept, admin_client):
    name = a_mail(kept, html=PROBE)
    response = admin_client.get(f"/mails/{name}/html")
    page = admin_client.get(f"/mails/{name}")

    assert PROBE in content(response)
    policy = [part.strip() for part in response["Content-Security-Policy"].split(";")]
    assert {"sandbox", "default-src 'none'", "form-action 'none'", "base-uri 'none'"} < set(policy)
    assert not any("script" in part for part in policy)
    assert "SAMEORIGIN" == response["X-Frame-Options"]
    assert f"{STRICT}; frame-src 'self'" == page["Content-Security-Policy"]   # the frame cannot be led elsewhere
    assert "DENY" == page["X-Frame-Options"]


@pytest.mark.parametrize(("given", "saved"), [
    ("report.html", 'attachment; filename="report.html"'),
    ('a"b.html', 'attachment; filename="a\\"b.html"'),
    ("ü.html", "attachment; filename*=utf-8''%C3%BC.html"),
    ("../../etc/passwd", 'attachment; filename="passwd"'),
])
def test_a_file_is_downloaded_under_its_name_and_never_shown(given, saved, kept, admin_client):
    name = a_mail(kept, files=[(given, b"<script>alert(1)</script>")])
    response = admin_client.get(f"/mails/{name}/attachments/0")

    assert (saved, "application/octet-stream", "nosniff") == (
        response["Content-Disposition"], response["Content-Type"], response["X-Content-Type-Options"])
    assert b"<script>alert(1)</script>" == response.content


def test_the_whole_mail_is_downloaded_as_it_came(kept, admin_client):
    name = kept.keep(b"From: a\r\n\r\nb\r\n", sender="a", recipients=["b"])
    response = admin_client.get(f"/mails/{name}/source")

    assert (b"From: a\r\n\r\nb\r\n", f'attachment; filename="{name}.eml"') == (response.content, response["Content-Disposition"])


@pytest.mark.parametrize("source", [
    b"", b"\xff\xfe\x00", b"Subject: =?utf-8?q?=ff=00=0D=0Ax?=\nFrom: =?nonsense?b?!!!?=\n\nx",
    b"Content-Type: text/plain; charset=nonsense\n\n\xff", b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n--x\n",
    b"Content-Type: multipart/mixed\n\nno boundary", b"Content-Type: image/png; name*=bad'x'%ff\n\n\x00",
    b"Content-Type: application/octet-stream\nContent-Disposition: attachment; filename*0*=utf-8''a%0D%0Ab; filename*1=c\n\nx",
    b'Content-Type: text/html\nContent-Disposition: attachment; filename="a\r\n b"\n\n<p>',
])
def test_a_mail_that_is_none_is_shown_all_the_same(source, kept, admin_client):
    name = kept.keep(source, sender="", recipients=[])
    pages_of_it = ["/mails", f"/mails/{name}", *([f"/mails/{name}/attachments/0"] if kept.get(name).attachments else [])]

    assert [200] * len(pages_of_it) == [admin_client.get(address).status_code for address in pages_of_it]


def test_what_is_not_there_is_not_found(kept, admin_client):
    name = a_mail(kept)

    assert [404] * 4 == [admin_client.get(address).status_code for address in (
        f"/mails/{uuid.uuid4()}", f"/mails/{name}/html", f"/mails/{name}/attachments/0", "/mails/../secret")]


def test_nothing_of_it_is_kept_by_a_browser(kept, admin_client):
    assert "no-store" == admin_client.get(f"/mails/{a_mail(kept)}")["Cache-Control"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("settings_module", "there"), [("config.settings.production", False), ("config.settings.test", True)])
def test_in_production_there_are_no_such_pages(settings_module, there):
    code = "import django; django.setup(); from config import mails; print(bool(mails.urls()))"
    env = environment(DJANGO_SETTINGS_MODULE=settings_module, SECRET_KEY="x" * 60, SEAL_KEYS="A" * 43, ALLOWED_HOSTS="example.com",
                      PYTHONPATH=f"{ROOT}:{ROOT / 'platform'}")
    answer = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)

    assert f"{there}\n" == answer.stdout
