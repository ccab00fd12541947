import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

pytestmark = pytest.mark.django_db


def answer(method, path):
    """Return what the application gives to its server, which Django's test client would not show."""
    told = {}
    environ = RequestFactory().generic(method, path).environ
    response = WSGIHandler()(environ, lambda status, headers: told.update(headers, status=status))
    body = b"".join(response)
    response.close()
    return told["status"], int(told["Content-Length"]), body


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/jobs", "/api/v1/nowhere", "/nowhere"])
def test_a_head_has_the_headers_of_the_get_and_no_body(path):
    status, length, body = answer("GET", path)

    assert len(body) == length > 0
    assert (status, length, b"") == answer("HEAD", path)
