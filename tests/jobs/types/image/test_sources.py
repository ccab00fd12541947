"""image.process by URL: what is fetched, from whom, and what is tried again. The client itself has its own tests."""

import socket
from datetime import timedelta

import pytest

from apps.jobs import Discard, Retry, registry
from apps.jobs.errors import InvalidJob
from apps.jobs.testing import run_handler
from apps.jobs.testing.handling import FakeContext
from apps.jobs.types.image.payload import ImageProcess, SourceOf
from core import outgoing
from tests.jobs.types.image.pictures import corners, file

PUBLIC = "93.184.215.14"
HOSTS = ["127.1", "2130706433", "017700000001", "0x7f000001", "[::ffff:127.0.0.1]", "[::]", "169.254.169.254", "0.0.0.0",  # noqa: S104  refused, not bound
         "127.0.0.1", "[::1]", "localhost", "10.0.0.1", "192.168.1.1", "100.64.0.1"]   # fmt: skip


def handled(url: str, **payload):
    return run_handler("image.process", {"source": {"url": url}, **payload})


def outcome_of_stored(url: str):
    """Return what becomes of a job whose payload was checked under other settings, or was changed in its row."""
    stored = ImageProcess.model_construct(source=SourceOf.model_construct(artifact=None, url=url), operations=[])
    return registry.get("image.process").handler(FakeContext(type="image.process"), stored)


class TestWithInnerAddressesAllowed:
    @pytest.fixture(autouse=True)
    def _allowed(self, settings):
        settings.OUTGOING_ALLOW_PRIVATE = True

    def test_a_picture_is_fetched_and_processed(self, server):
        url = server.answers("/a", body=file(corners(), "JPEG"), Content_Type="text/html")   # its content counts

        result = handled(url, operations=[{"op": "resize", "width": 30}]).result

        assert ("GET", "image/png, image/jpeg, image/webp, image/gif") == (
            server.seen[0].method, server.seen[0].headers["accept"])
        assert [(30, 20)] == [(item["width"], item["height"]) for item in result["artifacts"]]

    def test_a_redirect_is_followed(self, server):
        server.answers("/to", body=file(corners()))

        assert handled(server.answers("/", 302, Location="/to")).result["source"]["format"] == "png"

    @pytest.mark.parametrize("body", [b"<html>404</html>", b"", b"<svg xmlns='x'></svg>"])
    def test_what_is_sent_as_a_picture_and_is_none_ends_the_job(self, body, server):
        outcome = handled(server.answers("/", body=body, Content_Type="image/png")).outcome

        assert (Discard, "InvalidImage") == (type(outcome), outcome.error)
        assert outcome.reason.startswith("/payload/source: is ")

    def test_more_than_32_mib_are_not_read(self, server):
        outcome = handled(server.answers("/", body=file(corners()) + bytes(33 * 1024 * 1024))).outcome

        assert Discard(
            reason="/payload/source/url: has more than 33554432 bytes, which is the most that is read", error="InvalidImage",
        ) == outcome

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
    def test_a_refusal_ends_the_job(self, status, server):
        outcome = handled(server.answers("/", status, b"no")).outcome

        assert Discard(reason=f"/payload/source/url: the server answered {status}: no", error="HttpStatus") == outcome

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_passing_failure_is_tried_again_when_the_server_says(self, status, server):
        outcome = handled(server.answers("/", status, Retry_After="7")).outcome

        assert (Retry, timedelta(seconds=7)) == (type(outcome), outcome.after)

    def test_a_network_error_is_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]

        outcome = handled(f"http://127.0.0.1:{port}/").outcome

        assert (Retry, "Unreachable") == (type(outcome), outcome.error)

    def test_a_connection_that_breaks_within_the_picture_is_tried_again(self, server):
        def broken(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            handler.wfile.write(b"\x89PNG")

        outcome = handled(server.on("/", broken)).outcome

        assert (Retry, "Unreachable") == (type(outcome), outcome.error)

    def test_a_server_that_is_silent_is_tried_again(self, server, monkeypatch):
        monkeypatch.setattr("apps.jobs.types.image.fetching.SECONDS", 0.3)

        outcome = handled(server.on("/", lambda handler: handler.server.closing.wait())).outcome

        assert (Retry, "TimedOut") == (type(outcome), outcome.error)


class TestWithInnerAddressesForbidden:
    @pytest.fixture(autouse=True)
    def _forbidden(self, settings):
        settings.OUTGOING_ALLOW_PRIVATE = False

    @pytest.mark.parametrize("host", HOSTS)
    def test_an_inner_address_is_refused_when_the_job_is_made(self, host):
        with pytest.raises(InvalidJob, match=r"^/payload/source/url: refused: "):
            registry.get("image.process").check({"source": {"url": f"http://{host}/a.png"}})

    @pytest.mark.parametrize("host", HOSTS)
    def test_an_inner_address_is_refused_once_more_when_it_is_fetched(self, host, internet):
        outcome = outcome_of_stored(f"http://{host}/a.png")

        assert (Discard, "Refused", []) == (type(outcome), outcome.error, internet.connections)
        assert outcome.reason.startswith("/payload/source/url: refused: ")

    def test_a_name_that_leads_inside_ends_the_job(self, internet):
        internet.names["inner.test"] = ["10.0.0.7"]

        outcome = handled("http://inner.test/a.png").outcome

        assert (Discard, "Refused", []) == (type(outcome), outcome.error, internet.connections)
        assert "10.0.0.7, a private address" in outcome.reason

    def test_a_name_that_changes_after_the_check_does_not_reach_the_inside(self, server, internet):
        server.answers("/a.png", body=file(corners()))
        internet.names["changing.test"] = [PUBLIC, "127.0.0.1"]

        outcome = handled(f"http://changing.test:{server.port}/a.png").outcome

        assert (Retry, [(PUBLIC, server.port)], []) == (type(outcome), internet.connections, server.seen)

    @pytest.mark.parametrize("inside", ["http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/"])
    def test_a_redirect_to_the_inside_ends_the_job(self, inside, server, other_server, internet):
        there = internet.place("public.test", PUBLIC, server)
        other_server.answers("/", body=file(corners()))
        server.answers("/", 302, Location=inside.format(port=other_server.port))

        outcome = handled(f"{there}/").outcome

        assert (Discard, "Refused", []) == (type(outcome), outcome.error, other_server.seen)

    def test_a_public_address_is_fetched(self, server, internet):
        there = internet.place("public.test", PUBLIC, server)
        server.answers("/a.png", body=file(corners()))

        assert "png" == handled(f"{there}/a.png").result["source"]["format"]


def test_everything_is_asked_through_the_one_client(monkeypatch, internet):
    """No other way out: with the client closed, nothing is connected."""
    asked = []

    def closed(method, url, **options):
        asked.append((method, url, options["allow_redirects"], options["max_bytes"], "allow_private" in options))
        raise outgoing.Refused(url, address="10.0.0.1", reason="a private address")

    monkeypatch.setattr(outgoing, "request", closed)

    handled("http://example.com/a.png")

    assert [("GET", "http://example.com/a.png", True, 32 * 1024 * 1024 + 1, False)] == asked
    assert [] == internet.connections
