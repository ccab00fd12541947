"""/mails: what the local mail server has taken, for whoever may open the admin. Not there in production.

A mail comes from a job's payload, which comes from anybody. Its text and names are escaped like all text; its HTML is
shown by itself, in a frame that has an origin of its own and may run, send, load and open nothing; its files are only
ever downloaded.
"""

import uuid
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.http import content_disposition_header
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from core import headers
from core.devserver.mails import MOST, Mail, Mails

# No script, no form, no link and nothing from elsewhere; `sandbox` also where the address is opened outside its frame.
FOREIGN = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'; sandbox"
View = Callable[..., HttpResponse]


def _closed(view: View) -> View:
    """Keep a page for readers with a log-in, and its content out of every cache."""

    @wraps(view)
    def page(request: HttpRequest, **names: object) -> HttpResponse:
        response = view(request, **names)
        response.headers["Cache-Control"] = "no-store"
        return response

    return require_safe(staff_member_required(page))


@_closed
def index(request: HttpRequest) -> HttpResponse:
    """List the mails, newest first."""
    return render(request, "mails/index.html", {"mails": _mails().newest(), "most": MOST})


@_closed
def show(request: HttpRequest, *, name: uuid.UUID) -> HttpResponse:
    """Show a mail: headers, text, and its HTML in a frame."""
    response = render(request, "mails/mail.html", {"mail": _mail(name)})
    response.headers["Content-Security-Policy"] = headers.policy(frame_src="'self'")
    return response


@_closed
@xframe_options_sameorigin
def html(request: HttpRequest, *, name: uuid.UUID) -> HttpResponse:  # noqa: ARG001  Django passes it
    """Return the HTML of a mail, for its frame."""
    mail = _mail(name)
    if mail.html is None:
        raise Http404
    return HttpResponse(mail.html, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": FOREIGN})


@_closed
def attachment(request: HttpRequest, *, name: uuid.UUID, number: int) -> HttpResponse:  # noqa: ARG001  as above
    """Return a file, to be saved and never to be shown."""
    parts = _mail(name).attachments
    if number >= len(parts):
        raise Http404
    return _download(parts[number].content, parts[number].name)


@_closed
def source(request: HttpRequest, *, name: uuid.UUID) -> HttpResponse:  # noqa: ARG001  as above
    """Return the whole mail as it came, to be saved."""
    return _download(_mail(name).source, f"{name}.eml")


def _download(content: bytes, name: str) -> HttpResponse:
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return HttpResponse(content, content_type="application/octet-stream", headers={
        "Content-Disposition": disposition, "Content-Security-Policy": FOREIGN,
    })   # fmt: skip


def _mails() -> Mails:
    if settings.MAILS_DIR is None:
        raise Http404
    return Mails(settings.MAILS_DIR)


def _mail(name: uuid.UUID) -> Mail:
    mail = _mails().get(name)
    if mail is None:
        raise Http404
    return mail


def urls() -> list[URLPattern]:
    """Return the addresses, none where there is no local mail server."""
    if settings.MAILS_DIR is None:
        return []
    return [
        path("mails", index, name="mails"),
        path("mails/<uuid:name>", show, name="mail"),
        path("mails/<uuid:name>/html", html, name="mail-html"),
        path("mails/<uuid:name>/source", source, name="mail-source"),
        path("mails/<uuid:name>/attachments/<int:number>", attachment, name="mail-attachment"),
    ]
