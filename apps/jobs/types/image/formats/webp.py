"""WebP: a RIFF of chunks. Only the first frame of an animation is kept."""

import struct

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats import exif
from apps.jobs.types.image.formats.source import Source, check_parts, check_size, damaged, truncated

KEPT = (b"VP8X", b"ICCP", b"ANIM", b"ALPH", b"VP8 ", b"VP8L")
SAYS_EXIF, SAYS_XMP = 0x08, 0x04   # flags of VP8X, about chunks that are dropped here
COPIES = 2   # the decoder holds two canvases beside the picture: half the pixels take the same memory


def matches(data: bytes) -> bool:
    """Say whether it begins like a WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read(data: bytes, *, most_pixels: int) -> Source:
    """Return what the file holds. The decoder takes memory as soon as it is made, so the size is read here."""
    view, at = memoryview(data), 12
    end = 8 + int.from_bytes(view[4:8], "little")
    if end > len(data):
        raise truncated("the end of its RIFF")
    size: tuple[int, int] | None = None
    kept: list[bytes] = []
    orientation, frames, parts = 1, 0, 0
    while at + 8 <= end:
        parts += 1
        check_parts(parts)
        kind, length = struct.unpack_from("<4sI", data, at)
        body, begin, at = view[at + 8 : at + 8 + length], at, at + 8 + length + length % 2
        if at > end + length % 2:
            raise truncated(f"the end of a chunk {kind!r}")
        chunk = bytes(view[begin:at])
        if kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF":
            orientation = exif.orientation(bytes(body))
        if size is None:
            size = _size(kind, bytes(body[:10]))
            check_size(*size, most_pixels=most_pixels // COPIES)
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~(SAYS_EXIF | SAYS_XMP)]) + chunk[9:]
        if kind in KEPT or (kind == b"ANMF" and frames == 1):
            kept.append(chunk)
    if size is None:
        raise InvalidImage("is a WebP without a picture in it")
    riff = b"WEBP" + b"".join(kept)
    return Source(
        format="webp", width=size[0], height=size[1], orientation=orientation, animated=frames > 1,
        content=struct.pack("<4sI", b"RIFF", len(riff)) + riff,
    )


def _size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(body) >= 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    raise damaged("it does not begin with a frame or its size")
