import base64

import pytest

from core.api.models import ApiToken

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.api.routes")]


def make(*numbers: int) -> None:
    ApiToken.objects.bulk_create(
        [ApiToken(name=f"n{number}", prefix=f"{number:08x}", role="viewer") for number in numbers],
    )   # one statement: all have one created_at, so that the id has to decide


def walk(caller, address, *, between=lambda: None):
    items = []
    while address:
        page = caller.get(address).json()
        items += page["items"]
        address = page["next"]
        between()
    return items


def test_pages_show_each_row_once_and_in_order(viewer):
    make(*range(1, 24))

    items = walk(viewer, "/api/notes?limit=5")

    assert items == [f"n{number}" for number in range(23, 0, -1)] + ["viewer"]


def test_rows_that_come_and_go_meanwhile_shift_nothing(viewer):
    make(*range(1, 11))
    fresh = iter(range(100, 200))

    def between():
        make(next(fresh))
        ApiToken.objects.filter(name="n7").delete()

    items = walk(viewer, "/api/notes?limit=3", between=between)

    assert items == ["n10", "n9", "n8", "n6", "n5", "n4", "n3", "n2", "n1", "viewer"]


def test_next_keeps_the_other_parameters_and_link_says_the_same(viewer):
    make(1, 2)
    ApiToken.objects.update(name="x")

    response = viewer.get("/api/notes?limit=1&name=x")

    following = response.json()["next"]
    assert following.startswith("http://testserver/api/notes?")
    assert {"limit=1", "name=x"} < set(following.partition("?")[2].split("&"))
    assert response["Link"] == f'<http://testserver/api/notes?limit=1&name=x>; rel="first", <{following}>; rel="next"'


def test_the_last_page_has_no_next(viewer):
    response = viewer.get("/api/notes")

    assert response.json() == {"items": ["viewer"], "next": None}
    assert 'rel="next"' not in response["Link"]


def test_small_lists_have_pages_too(viewer):
    assert walk(viewer, "/api/words?limit=2") == ["apple", "banana", "cherry"]


@pytest.mark.parametrize("content", [
    b"", b"x", b"{}", b"[1, 2]", b'["a"]', b'["2026-01-01", "7"]', b'["2026-01-01T00:00:00", "7"]', b'["x", "7"]',
    b'["2026-01-01T00:00:00+00:00", "x"]', b'["2026-01-01T00:00:00+00:00", "\\u0000"]',
    b'["2026-01-01T00:00:00+00:00", "1", "2"]', b"[" * 200,
])
def test_a_cursor_that_was_made_up_is_refused(viewer, content):
    cursor = base64.urlsafe_b64encode(content).decode().rstrip("=")

    response = viewer.get(f"/api/notes?cursor={cursor}")

    assert (response.status_code, response.json()["type"]) == (404, "urn:latchwork:problem:unknown-cursor")
    assert response.json()["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize(("cursor", "status"), [("*", 404), ("a", 404), ("%C3%A9", 404), ("a" * 501, 400)])
def test_a_cursor_that_is_none_is_refused(viewer, cursor, status):
    response = viewer.get(f"/api/notes?cursor={cursor}")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (status, "/cursor")
