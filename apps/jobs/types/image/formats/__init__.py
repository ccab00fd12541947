"""The formats that are opened, by an explicit list and by their first bytes; no name and no header is asked.

Each reader walks over the structure of its format in one pass, without decoding: it finds the size, whether the file
is whole, which way is up, and copies what makes the pixels. All loops are bounded by the length of the file and by
`source.MOST_PARTS`.
"""

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats import gif, jpeg, png, strangers, webp
from apps.jobs.types.image.formats.source import Format, Source

__all__ = ["Format", "Source", "read"]

OPENED = "PNG, JPEG, WebP and GIF are opened"


def read(data: bytes, *, most_pixels: int) -> Source:
    """Return the picture in a file; raise `InvalidImage` for one that is too large, not whole, or none."""
    if data.startswith(png.SIGNATURE):
        return png.read(data, most_pixels=most_pixels)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read(data, most_pixels=most_pixels)
    if data.startswith(gif.SIGNATURES):
        return gif.read(data, most_pixels=most_pixels)
    if webp.matches(data):
        return webp.read(data, most_pixels=most_pixels)
    if not data:
        raise InvalidImage("is empty")
    raise InvalidImage(f"is {strangers.named(data)}, whatever its name says: {OPENED}")
