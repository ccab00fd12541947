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

    def write(self, data: object) -> int:
        size = self._file.write(data)  # type: ignore[call-overload]
        if not self._failed:   # once: a library that is being thrown away still writes its last words
            try:
                self._heed()
            except BaseException:
                self._failed = True
                raise
        return int(size)

    def _heed(self) -> None:
        self._check()
        if self._file.tell() > self._most:
            fix = ", take xlsx, which is compressed, or raise ARTIFACT_MAX_BYTES"
            raise ReportTooLarge(f"the file has more than {self._most} bytes", fix=fix)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
