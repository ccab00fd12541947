"""The file that a report is written to: it hears a cancellation, and refuses to grow beyond what can be kept."""

import io
from collections.abc import Callable
from typing import IO

from apps.jobs.types.report.errors import ReportTooLarge


class Sink(io.RawIOBase):
    """A file for writing that asks `check` as it grows: compressing a large sheet is one long call of a library."""

    def __init__(self, file: IO[bytes], check: Callable[[], None], *, most_bytes: int) -> None:
        self._file, self._check, self._most = file, check, most_bytes
        self._failed = False
        self._place = 0

    def write(self, data: object) -> int:
        """Write; raise what ends the report, once: a library that is being thrown away still writes its last words."""
        if self._failed:
            lost = memoryview(data).nbytes  # type: ignore[arg-type]  # any buffer, as files take it
            self._place += lost
            return lost
        size: int = self._file.write(data)  # type: ignore[call-overload]  # as above
        try:
            self._heed()
        except BaseException:
            self.abandon()
            raise
        return size

    def abandon(self) -> None:
        """Let everything from now on go nowhere."""
        if not self._failed:
            self._place, self._failed = self._file.tell(), True

    def _heed(self) -> None:
        self._check()
        if self._file.tell() > self._most:
            fix = ", take xlsx, which is compressed, or raise REPORT_MAX_BYTES"
            raise ReportTooLarge(f"the file has more than {self._most} bytes", fix=fix)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._failed:   # a file may be closed by now; what follows goes nowhere
            self._place = offset
            return offset
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._place if self._failed else self._file.tell()

    def flush(self) -> None:
        if not self._failed and not self._file.closed:
            self._file.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
