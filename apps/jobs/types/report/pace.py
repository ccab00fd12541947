"""How far a report is, and whether it shall go on."""

from apps.jobs.registry import Context


class Pace:
    """Counts the rows of one phase after the other; each step asks whether to go on, and says how far it is."""

    def __init__(self, job: Context) -> None:
        self._job = job
        self._note = ""
        self._done = 0
        self._total: int | None = None

    def begin(self, note: str, *, total: int | None = None) -> None:
        """Begin a phase; without `total` nobody knows yet how many rows it has."""
        self._note, self._done, self._total = note, 0, total
        self.step(0)

    def step(self, rows: int) -> None:
        """Count rows; raise what `job.check()` raises when the report shall end."""
        self._done += rows
        self.check()
        self._job.progress(self._done, self._total, self._note)

    def check(self) -> None:
        """Raise `Cancelled`, `LeaseLost` or `DeadlineExceeded` when going on is pointless."""
        self._job.check()
