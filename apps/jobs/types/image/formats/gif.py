"""GIF: a screen, then extensions and frames in blocks of at most 255 bytes. Only the first frame is kept."""

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats.source import Source, check_parts, check_size, damaged, truncated

SIGNATURES = (b"GIF87a", b"GIF89a")
EXTENSION, FRAME, TRAILER, CONTROL = 0x21, 0x2C, 0x3B, 0xF9


def read(data: bytes, *, most_pixels: int) -> Source:
    """Return what the file holds; it is read to its trailer, so that a truncated animation is refused as well."""
    view = memoryview(data)
    if len(data) < 13:
        raise truncated("the end of its header")
    width, height = _number(view, 6), _number(view, 8)
    if width and height:   # a screen of nothing is as large as its first frame
        check_size(width, height, most_pixels=most_pixels)
    at = 13 + _palette(view[10])
    head, control, first, frames, parts = view[:at], view[:0], view[:0], 0, 0
    while True:
        parts += 1
        check_parts(parts)
        begin, kind = at, _byte(view, at)
        if kind == TRAILER:
            break
        if kind == EXTENSION:
            label = _byte(view, at + 1)
            at = _after_blocks(view, at + 2)
            if label == CONTROL and not frames:
                control = view[begin:at]
        elif kind == FRAME:
            frames += 1
            flags = _byte(view, at + 9)
            at = _after_blocks(view, at + 11 + _palette(flags))   # one byte says how wide its codes are
            if frames == 1:
                first = view[begin:at]
                width = max(width, _number(first, 1) + _number(first, 5))
                height = max(height, _number(first, 3) + _number(first, 7))
                check_size(width, height, most_pixels=most_pixels)
        else:
            raise damaged(f"a block begins with {kind:02X}")
    if not frames:
        raise InvalidImage("is a GIF without a picture in it")
    content = b"".join([head, control, first, bytes([TRAILER])])
    return Source(format="gif", width=width, height=height, animated=frames > 1, content=content)


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _number(view: memoryview, at: int) -> int:
    return int.from_bytes(view[at : at + 2], "little")


def _byte(view: memoryview, at: int) -> int:
    if at >= len(view):
        raise truncated("its trailer")
    return view[at]


def _after_blocks(view: memoryview, at: int) -> int:
    """Return where a row of blocks ends, which is behind an empty one."""
    while length := _byte(view, at):
        at += 1 + length
    return at + 1
