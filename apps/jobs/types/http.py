"""`http.request`: call somebody else's server, as an outbound call or as a signed webhook."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from apps.jobs.errors import UnknownArtifact
from apps.jobs.outcomes import JSON, Discard, Outcome, Retry
from apps.jobs.registry import Context, job_type
from apps.jobs.types import http_answer, http_files, webhook
from apps.jobs.types.http_files import Body
from apps.jobs.types.http_payload import MOST_SECONDS, HttpRequest
from core import clock, outgoing

REPEATS_DO_HARM = ("POST", "PATCH")
LONGEST_WAIT = timedelta(days=1)
STATUS = "HttpStatus"   # how an answer that is not wanted is named; no answer has the name of its exception


@job_type(
    "http.request",
    payload=HttpRequest,
    queue="default",
    max_attempts=5,
    timeout=timedelta(seconds=MOST_SECONDS + 10),   # the request's own deadline is always the earlier one
    sensitive=("headers.*", "sign.secret"),         # all headers: nobody knows the names of all that carry secrets
)
def request(job: Context, payload: HttpRequest) -> Outcome | JSON:
    """Send an HTTP request, signed if asked, and keep the answer.

    A network error, a timeout and the statuses in `retry_statuses` are tried again, after the time that a Retry-After
    asks for or by the type's policy; any other unexpected status ends the job. Each attempt carries the same
    Idempotency-Key and webhook-id, because the attempt before may have arrived without our knowing.
    """
    try:
        body = http_files.body(payload)
    except UnknownArtifact as exc:
        return Discard(reason=f"/payload/body_artifact: {exc}", error=type(exc).__name__)
    try:
        response = outgoing.request(
            payload.method,
            payload.url,
            headers=_headers(job, payload, body=body),
            body=body.content,
            timeout_seconds=payload.timeout_seconds,
            allow_redirects=payload.follow_redirects,
            max_bytes=http_files.most_bytes(payload),
        )
    except (outgoing.Unreachable, outgoing.TimedOut) as exc:
        return Retry(reason=str(exc), error=type(exc).__name__)
    except outgoing.OutgoingError as exc:
        return Discard(reason=_refusal(exc), error=type(exc).__name__)
    job.logger.info("http.answered", status=response.status, elapsed_ms=round(response.elapsed_seconds * 1000))
    if payload.expects(response.status):
        return http_files.kept(job, payload, response=response) if payload.save_response else http_answer.result(response)
    if response.status in payload.retry_statuses:
        wait = retry_after(response.headers.get("retry-after", ""), now=clock.now())
        return Retry(after=wait, reason=http_answer.complaint(response), error=STATUS)
    return Discard(reason=http_answer.complaint(response), error=STATUS)


def _headers(job: Context, payload: HttpRequest, *, body: Body) -> dict[str, str]:
    key = job.step_key("request")
    given = {name.lower() for name in payload.headers}
    added: dict[str, str] = {}
    if body.content_type and "content-type" not in given:
        added["Content-Type"] = body.content_type
    if payload.method in REPEATS_DO_HARM and "idempotency-key" not in given:
        added["Idempotency-Key"] = key
    if payload.sign:
        added |= webhook.headers(
            body.content or b"", secret=payload.sign.secret.get_secret_value(), message_id=key,
            now=clock.now(), prefix=payload.sign.header_prefix,
        )
    return {**payload.headers, **added}


def _refusal(exc: outgoing.OutgoingError) -> str:
    """Return a sentence that begins with the member to change: of a redirect that is refused, the address that led there."""
    if isinstance(exc, outgoing.BadRequest):
        return f"/payload/{exc.part}: {exc.reason}"
    return f"/payload/url: {exc}"


def retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Return the wait that a Retry-After asks for, in either of its forms, a day at most; None when it says nothing."""
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        return min(timedelta(seconds=int(value)), LONGEST_WAIT) if len(value) < 10 else LONGEST_WAIT
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:   # "-0000": UTC of an unknown place
        moment = moment.replace(tzinfo=UTC)
    wait: timedelta = moment - now
    return min(max(wait, timedelta(0)), LONGEST_WAIT)
