"""Whether the data of a JPEG end before its picture does, with an end marker put behind them.

The decoder only warns of that, which the library does not pass on, and paints the rest in one colour. So it is not given the
end marker: with all rows at hand it needs none, and whoever asks for more has too little.
"""

import io

from apps.jobs.types.image.formats import Source
from apps.jobs.types.image.formats.source import truncated

EOI = b"\xff\xd9"
SPARE = bytes(16)   # more than the decoder reads ahead; less than a row of data


class Endless:
    """Reads for the library's decoder, in the place of the file."""

    def __init__(self, source: Source) -> None:
        self._parts = iter([source.content.removesuffix(EOI), SPARE])
        self._part = io.BytesIO()

    def read(self, size: int) -> bytes:
        """Return the next bytes; raise `InvalidImage` when there are none and the picture is not yet whole."""
        while not (chunk := self._part.read(size)):
            part = next(self._parts, None)
            if part is None:
                raise truncated("the last row of its picture")
            self._part = io.BytesIO(part)
        return chunk
