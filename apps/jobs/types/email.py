"""`email.send`: a mail through the server of EMAIL_URL, with artifacts as attachments."""

from datetime import timedelta
from typing import Any

from django.conf import settings

from apps.jobs import selectors
from apps.jobs import services as jobs
from apps.jobs.errors import InvalidJob
from apps.jobs.outcomes import JSON, Discard, Outcome, Retry
from apps.jobs.registry import Context, job_type
from apps.jobs.retry import Exponential
from apps.jobs.types import email_attachments
from apps.jobs.types.email_attachments import Unusable
from apps.jobs.types.email_payload import Email
from core import clock
from core.mail import mailbox, sending
from core.mail.message import Letter, Message

SPARE_SECONDS = 2   # of the attempt's time, to say what came of it
AGAIN = timedelta(minutes=5)   # what a server that puts off a recipient it does not know (greylisting) wants to see pass


@job_type(
    "email.send",
    payload=Email,
    queue="default",
    max_attempts=8,
    retry=Exponential(base=4),        # 4 s to an hour, over two and a half hours: greylisting and full mailboxes take their time
    timeout=timedelta(minutes=5),     # the mail's own end is always the earlier one
)
def send(job: Context, payload: Email) -> Outcome | JSON:
    """Send a mail, and keep who got it and who was refused, with the server's words.

    What the server puts off (4xx) and a broken connection are tried again, what it refuses (5xx) is not. Each attempt has
    the same Message-ID, because the one before may have arrived without our knowing. Recipients that are put off while
    others are taken get the mail by a job of their own, so that nobody gets it twice.
    """
    try:
        message = Message(_letter(job, payload))
    except Unusable as exc:
        return Discard(reason=str(exc), error=type(exc).__name__)
    if len(message.wire) > settings.EMAIL_MAX_BYTES:
        exceeding = email_attachments.TooLarge(len(message.wire), most=settings.EMAIL_MAX_BYTES, member=_largest(payload))
        return Discard(reason=str(exceeding), error=type(exceeding).__name__)
    try:
        sent = sending.send(message, seconds=(job.deadline - clock.now()).total_seconds() - SPARE_SECONDS)
    except (sending.Deferred, sending.Unreachable, sending.TimedOut) as exc:
        return Retry(reason=str(exc), error=type(exc).__name__)
    except sending.MailError as exc:
        return Discard(reason=str(exc), error=type(exc).__name__)
    return _told(job, payload, message=message, sent=sent)


def message_id(job: Context, payload: Email) -> str:
    """Return what names the mail: the same in every attempt, and in the job that goes on for some recipients."""
    origin = payload.remainder.job if payload.remainder else job.id
    return f"<{origin}@{mailbox.parse(settings.DEFAULT_FROM_EMAIL).domain}>"


def _largest(payload: Email) -> str:
    """Return the member that a mail which is too large is to be made smaller by."""
    if payload.attachments:
        return "attachments"
    return "html" if len(payload.html or "") > len(payload.text or "") else "text"


def _letter(job: Context, payload: Email) -> Letter:
    given = {name.lower() for name in payload.headers}
    automatic = {} if "auto-submitted" in given else {"Auto-Submitted": "auto-generated"}   # nobody's holiday answers (RFC 3834)
    only = payload.remainder.recipients if payload.remainder else ()
    return Letter(
        message_id=message_id(job, payload),
        sender=mailbox.parse(settings.DEFAULT_FROM_EMAIL),
        to=payload.mailboxes("to"), cc=payload.mailboxes("cc"), bcc=payload.mailboxes("bcc"),
        reply_to=mailbox.parse(payload.reply_to) if payload.reply_to else None,
        subject=payload.subject, text=payload.text, html=payload.html,
        headers={**automatic, **payload.headers},
        attachments=email_attachments.read(payload.attachments, most=settings.EMAIL_MAX_BYTES),
        only=[mailbox.parse(each).address for each in only],
    )


def _told(job: Context, payload: Email, *, message: Message, sent: sending.Sent) -> JSON:
    """Return the result. Recipients that were put off become a job in the same commit as this one's end."""
    result: dict[str, JSON] = {
        "message_id": message.letter.message_id,
        "bytes": len(message.wire),
        "accepted": list(sent.accepted),
        "refused": [{"address": each.address, "code": each.code, "message": each.words} for each in sent.refused],
    }
    if sent.refused:
        job.logger.warning("email.refused", recipients=len(sent.refused), accepted=len(sent.accepted))
    later = [each.address for each in sent.refused if each.is_temporary]
    if not later:
        return result
    origin = payload.remainder.job if payload.remainder else job.id
    rest = {**payload.model_dump(mode="json"), "remainder": {"job": str(origin), "recipients": later}}
    try:
        with job.transaction() as tx:
            result["continued_by"] = str(jobs.enqueue(job.type, rest, delay=AGAIN, **_like(job)))
            tx.complete(result)
    except InvalidJob as exc:   # with their addresses the payload is too large: others have the mail, so this ends here
        job.logger.error("email.not_continued", reason=str(exc))  # noqa: TRY400  the reason is all there is to know
        result["continued_by"] = None
    return result


def _like(job: Context) -> dict[str, Any]:
    """Return the options of this job, for the one that goes on with its work."""
    return {
        option: getattr(row, option)
        for row in selectors.several([job.id]) for option in ("queue", "priority", "max_attempts", "tags", "request_id")
    }
