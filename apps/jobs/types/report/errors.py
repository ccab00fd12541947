"""Why a report cannot be made: no further attempt would go better, so the job ends with the reason."""

from apps.jobs.errors import JobError

NARROW = "narrow the period or filter more"


class ReportTooSlow(JobError):
    def __init__(self, what: str, *, seconds: float) -> None:
        super().__init__(f"{what} took longer than {seconds:g} s, and a report must not hold up the database: {NARROW}")


class ReportTooLarge(JobError):
    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(f"{what}: {NARROW}{fix}")
