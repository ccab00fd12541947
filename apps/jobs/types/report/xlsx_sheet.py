"""A sheet that hears a cancellation while the library copies its rows: of a million rows that takes seconds."""

from collections.abc import Callable
from typing import Any

from xlsxwriter.worksheet import Worksheet


class Heard:
    """A file that asks `check` at each read."""

    def __init__(self, file: Any, check: Callable[[], None]) -> None:
        self._file, self._check = file, check

    def read(self, size: int) -> str:
        self._check()
        text: str = self._file.read(size)
        return text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Sheet(Worksheet):  # type: ignore[misc]  # the library has no types
    """A worksheet in constant memory; set `check` before the book is closed."""

    check: Callable[[], None]
    row_data_fh: Any

    def _opt_reopen(self) -> None:
        super()._opt_reopen()
        self.row_data_fh = Heard(self.row_data_fh, self.check)

    def abandon(self) -> None:
        """Close what is open; the files go away with their folder."""
        for file in (self.row_data_fh, self.fh):
            if file is not None:
                file.close()
