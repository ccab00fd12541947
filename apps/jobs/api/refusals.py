"""What the errors of jobs mean over HTTP."""

from http import HTTPStatus

from apps.jobs import errors
from core.api.problems import FieldError, Problem, invalid
from core.sealing.form import NoSealKey


def of(exc: Exception, *, at: str = "") -> Exception:  # noqa: PLR0911  one clause for each kind of error
    """Return the problem that an error of jobs is, or the error itself. `at` goes before its pointers."""
    match exc:
        case errors.ArtifactTooLarge():
            errors_of = [FieldError(pointer=at + each.pointer, detail=each.detail) for each in exc.problems]
            return Problem(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=str(exc), errors=errors_of)
        case errors.InvalidJob():
            return invalid(FieldError(pointer=at + each.pointer, detail=each.detail) for each in exc.problems)
        case errors.RoleNeeded():
            return Problem(status=HTTPStatus.FORBIDDEN, detail=str(exc))
        case errors.JobNotFound() | errors.QueueNotFound():
            return Problem(status=HTTPStatus.NOT_FOUND, detail=str(exc))
        case errors.UniqueConflict():
            return Problem(
                status=HTTPStatus.CONFLICT, kind="unique-key-conflict", detail=str(exc),
                errors=[FieldError(pointer=at + exc.pointer, detail=str(exc))] if exc.pointer else [],
                facts={"job_id": str(exc.job_id), "unique_key": exc.unique_key},
            )
        case errors.NotAllowedNow():
            return Problem(
                status=HTTPStatus.CONFLICT, kind="not-allowed-now", detail=str(exc), facts={"job_status": exc.status},
            )
        case NoSealKey():   # the installation's fault, not the caller's
            return Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, kind="no-seal-key", detail=str(exc))
        case errors.JobBusy():
            return Problem(
                status=HTTPStatus.CONFLICT, kind="job-busy", detail=str(exc), headers={"Retry-After": "1"},
            )
        case _:
            return _of_artifact(exc)


def _of_artifact(exc: Exception) -> Exception:
    match exc:
        case errors.VanishedArtifact():
            return Problem(status=HTTPStatus.GONE, kind="artifact-vanished", detail=str(exc))
        case errors.UnknownArtifact():
            return Problem(status=HTTPStatus.NOT_FOUND, detail=str(exc))
        case errors.ArtifactsUnavailable():
            detail = "the storage of artifacts does not answer: try again in a moment"   # the log has the reason
            return Problem(status=HTTPStatus.SERVICE_UNAVAILABLE, detail=detail, headers={"Retry-After": "1"})
        case _:
            return exc
