"""JPEG: segments behind markers, then scans of entropy-coded data in which every FF is followed by 00 or a restart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats import exif
from apps.jobs.types.image.formats.source import Source, check_parts, check_size, damaged, truncated

SIGNATURE = b"\xff\xd8\xff"
MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
AFTER_SCAN = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
EOI, SOS, EXIF = 0xD9, 0xDA, 0xE1
STANDALONE = {0x01, *range(0xD0, 0xD9)}
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
HUFFMAN, PROGRESSIVE = {0xC0, 0xC1}, {0xC2, 0xC6, 0xCA, 0xCE}
NOTHING = 99   # bits that lack of a coefficient of which no scan has come
APPS_AND_COMMENT = {*range(0xE0, 0xF0), 0xFE}
KEPT_APPS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}   # which colours, and how they are stored
MOST_SCANS = 50   # a progressive picture has about ten; each one is a walk over all pixels, however little it says


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    body: bytes
    whole: memoryview
    """From its marker to the next one: of a scan, with all its data."""


def read(data: bytes, *, most_pixels: int) -> Source:
    """Return what the file holds, up to its end marker; what follows there is nobody's picture."""
    size: tuple[int, int] | None = None
    scans, orientation, frame = 0, 0, 0
    coverage = _Coverage()
    kept: list[bytes | memoryview] = [data[:2]]
    for segment in _segments(data):
        if segment.marker in FRAMES:
            if size:
                raise damaged("it has two frames")
            size, frame = _size(segment.body), segment.marker
            coverage.begin(segment.body)
            check_size(*size, most_pixels=most_pixels)
        elif segment.marker == SOS:
            scans += 1
            coverage.add(segment.body, is_progressive=frame in PROGRESSIVE)
            if scans > MOST_SCANS:
                raise InvalidImage(f"has more than {MOST_SCANS} scans, which no picture needs")
        elif segment.marker == EXIF and not orientation and segment.body.startswith(b"Exif\0\0"):
            orientation = exif.orientation(segment.body)
        if _makes_pixels(segment):
            kept.append(segment.whole)
    if size is None or not scans:
        raise InvalidImage("is a JPEG without a picture in it")
    if not coverage.is_complete:
        raise truncated("the last scan of its picture")
    return Source(
        format="jpeg", width=size[0], height=size[1], orientation=orientation or 1,
        content=b"".join([*kept, b"\xff\xd9"]), is_one_scan=scans == 1 and frame in HUFFMAN,
    )


class _Coverage:
    """Which bits of which coefficients the scans bring: a file that was cut between two of them lacks some."""

    def __init__(self) -> None:
        self._lacking: dict[int, list[int]] = {}

    def begin(self, frame: bytes) -> None:
        """Note the components of a frame, of which nothing has come."""
        self._lacking = {frame[at]: [NOTHING] * 64 for at in range(6, min(6 + 3 * frame[5], len(frame)), 3)}

    def add(self, scan: bytes, *, is_progressive: bool) -> None:
        """Note what a scan says that it brings; a broken one is the decoder's to refuse."""
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            return
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        if not is_progressive:
            first, last, low = 0, 63, 0
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in self._lacking:
                self._lacking[component][first : last + 1] = [low] * (min(last, 63) + 1 - first)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is lacking."""
        return not any(any(bits) for bits in self._lacking.values())


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end marker; raise for a file in which there is none."""
    view, at, parts = memoryview(data), 2, 0
    while found := MARKER.search(data, at):
        parts += 1
        check_parts(parts)
        marker, begin, at = found[1][0], found.start(), found.end()
        if marker == EOI:
            return
        if marker in STANDALONE:
            continue
        end = at + int.from_bytes(view[at : at + 2])
        if end > len(data):
            raise truncated(f"the end of a segment {marker:02X}")
        if end < at + 2:
            raise damaged(f"a segment {marker:02X} has no length")
        body, at = data[at + 2 : end], end
        if marker == SOS:
            following = AFTER_SCAN.search(data, at)
            at = following.start() if following else len(data)
        yield _Segment(marker, body, view[begin:at])
    raise truncated("its end marker")


def _makes_pixels(segment: _Segment) -> bool:
    wanted = KEPT_APPS.get(segment.marker)
    return segment.marker not in APPS_AND_COMMENT or (wanted is not None and segment.body.startswith(wanted))


def _size(body: bytes) -> tuple[int, int]:
    if len(body) < 6:
        raise damaged("its frame has no size")
    if body[0] != 8:
        raise InvalidImage(f"is a JPEG of {body[0]} bits a sample: 8 are decoded")
    return int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
