"""PNG: a signature, then chunks with checksums. Animated ones (APNG) are read as the still picture they also are."""

import struct
import zlib

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats import exif
from apps.jobs.types.image.formats.source import Source, check_parts, check_size, damaged, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"IDAT", b"IEND")


def read(data: bytes, *, most_pixels: int) -> Source:
    """Return what the file holds; every checksum is compared, because the decoder skips those of the pixels."""
    view, at, size, orientation, frames = memoryview(data), len(SIGNATURE), (0, 0), 1, 1
    kept: list[bytes | memoryview] = [SIGNATURE]
    kind, parts, headers, has_pixels = b"", 0, 0, False
    while kind != b"IEND":
        if at + 12 > len(data):
            raise truncated("its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        body = view[at + 8 : end - 4]
        if not kind.isalpha():
            raise damaged(f"a chunk is named {kind!r}")
        if end > len(data):
            raise truncated(f"the end of a chunk {kind.decode()}")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise damaged(f"the checksum of a chunk {kind.decode()} is wrong")
        if not parts:
            size = _size(kind, body)
            check_size(*size, most_pixels=most_pixels)
        parts += 1
        check_parts(parts)
        headers += kind == b"IHDR"
        has_pixels = has_pixels or kind == b"IDAT"
        if kind in KEPT:
            kept.append(view[at:end])
        elif kind == b"eXIf":
            orientation = exif.orientation(bytes(body))
        elif kind == b"acTL" and length == 8:
            frames = int.from_bytes(body[:4])
        at = end
    if not has_pixels:
        raise InvalidImage("is a PNG without a picture in it")
    if headers > 1:
        raise damaged("it has two headers")
    return Source(
        format="png", width=size[0], height=size[1], orientation=orientation, animated=frames > 1, content=b"".join(kept),
    )


def _size(kind: bytes, body: memoryview) -> tuple[int, int]:
    if kind != b"IHDR" or len(body) != 13:
        raise damaged("it does not begin with a header of 13 bytes")
    return int.from_bytes(body[:4]), int.from_bytes(body[4:8])
