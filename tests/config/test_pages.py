import re
from html.parser import HTMLParser

import pytest
from django import shortcuts

from config import pages

pytestmark = pytest.mark.django_db
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Page(HTMLParser):
    """What a page loads and links to, and what of it a strict policy would refuse."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self._open = tag
        if tag == "a":
            self.links.append(facts["href"])
        elif "src" in facts or tag == "link":
            self.loads.append(facts.get("src") or facts["href"])
        self.inline += [name for name in facts if name == "style" or name.startswith("on")]

    def handle_data(self, data):
        if self._open in {"script", "style"} and data.strip():
            self.inline.append(self._open)

    def handle_endtag(self, tag):
        self._open = ""


def content(response) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return body.decode(errors="replace")


def found(client, addresses) -> bool:
    """Tell whether there is something at each of them."""
    responses = [client.get(address, follow=True) for address in addresses]
    bodies = [content(response) for response in responses]
    return all(bodies) and {response.status_code for response in responses} == {200}


def test_the_start_page_links_to_what_exists_and_loads_only_our_files(client):
    page = Page(content(client.get("/")))

    assert [*page.links] == ["/api/v1/docs", "/admin/", "/mails", "/api/v1/schema", "/readyz", "/metrics"]
    assert found(client, [*page.links, *page.loads])
    assert page.inline == []


def test_flower_is_linked_when_it_runs(client, settings):
    settings.FLOWER_URL = "http://127.0.0.1:5555/"

    assert "http://127.0.0.1:5555/" in Page(content(client.get("/"))).links


def test_a_browser_that_asks_for_an_icon_gets_ours(client):
    asked = client.get("/favicon.ico", follow=True)

    assert [("/static/site/latch.svg", 302)] == asked.redirect_chain
    assert ("image/svg+xml", True) == (asked["Content-Type"], content(asked).startswith("<svg"))


def test_the_documentation_comes_from_our_own_files(client):
    response = client.get("/api/v1/docs")

    page = Page(content(response))
    assert all(address.startswith("/") and not address.startswith("//") for address in page.loads)
    assert found(client, page.loads)
    assert "script" not in page.inline
    assert response["Content-Security-Policy"] == STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


@pytest.mark.parametrize(("address", "status"), [
    ("/", 200), ("/healthz", 200), ("/metrics", 200), ("/admin/login/", 200), ("/nowhere", 404), ("/api/v1/jobs", 401),
    ("/api/v1/schema", 200),
])
def test_every_answer_carries_the_headers_that_keep_a_browser_safe(client, address, status):
    response = client.get(address)

    assert response.status_code == status
    assert response["Content-Security-Policy"] == STRICT
    assert {name: response[name] for name in (
        "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
    )} == {
        "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    assert "camera=()" in response["Permissions-Policy"]


def test_files_keep_to_the_policy_too(client):
    response = client.get("/static/site/site.css")

    assert content(response)
    assert [response[name] for name in ("Content-Security-Policy", "X-Content-Type-Options")] == [STRICT, "nosniff"]
    assert "Access-Control-Allow-Origin" not in response


def test_the_pages_of_the_admin_hold_nothing_inline(client, admin_client):
    for address in ("/admin/login/", "/admin/", "/admin/auth/user/", "/admin/auth/user/add/"):
        page = Page(content((client if "login" in address else admin_client).get(address)))

        assert page.inline == []


def test_a_mistake_of_ours_shows_a_page_without_a_word_about_it(client, monkeypatch):
    def broken(request, template, *args, **kwargs):
        if template == "start.html":
            raise RuntimeError("swordfish")
        return shortcuts.render(request, template, *args, **kwargs)

    monkeypatch.setattr(pages, "render", broken)
    client.raise_request_exception = False

    response = client.get("/")

    assert response.status_code == 500
    assert b"swordfish" not in response.content
    assert response["X-Request-ID"].encode() in response.content


def test_a_host_that_is_not_ours_is_refused(client):
    response = client.get("/", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert not re.search(rb"evil", response.content)
