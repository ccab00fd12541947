"""The one thing that EXIF says about pixels: which way is up. The rest is somebody's private life, and dropped unread."""

import struct

ORIENTATION = 0x0112
SHORT, LONG = 3, 4
MOST_TAGS = 1000
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(block: bytes) -> int:
    """Return 1 to 8; 1, upright, when the block says nothing else that makes sense."""
    block = block.removeprefix(b"Exif\0\0")
    order = ORDERS.get(block[:4])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, first)
        for number in range(min(count, MOST_TAGS)):
            entry = first + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", block, entry)
            if tag == ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == LONG else 'H'}", block, entry + 8)
                return value if kind in (SHORT, LONG) and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
