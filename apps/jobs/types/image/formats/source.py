"""A picture as a file, read as far as it can be read without decoding a pixel."""

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from apps.jobs.types.image.errors import InvalidImage

Format: TypeAlias = Literal["png", "jpeg", "webp", "gif"]
MOST_PARTS = 100_000   # chunks, segments or blocks of a file; real ones have hundreds, and each costs a microsecond or more


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a file holds. `content` is the same picture without anything that does not make its pixels.

    The decoder never sees more than that: no metadata to take along by mistake, none whose parser could be attacked.
    """

    format: Format
    width: int
    height: int
    orientation: int = 1
    """As in EXIF, 1 to 8; from 5 on, width and height change places."""
    animated: bool = False
    is_one_scan: bool = False
    """Whether it is a JPEG whose rows come one after the other."""
    content: bytes = field(repr=False)

    @property
    def upright(self) -> tuple[int, int]:
        """Return width and height as a person sees them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def check_size(width: int, height: int, *, most_pixels: int) -> None:
    """Refuse a picture by what its header says, before any memory is taken for it."""
    if width < 1 or height < 1:
        raise InvalidImage(f"has a header of {width} x {height} pixels, which is no picture")
    if width * height > most_pixels:
        raise InvalidImage(f"has {width} x {height} pixels: at most {most_pixels} in all are decoded (IMAGE_MAX_PIXELS)")


def check_parts(parts: int) -> None:
    """Refuse a file that consists of crumbs: each is cheap, millions are not."""
    if parts > MOST_PARTS:
        raise InvalidImage(f"has more than {MOST_PARTS} parts, which no picture needs")


def truncated(what: str) -> InvalidImage:
    """Return the refusal of a file that ends too early."""
    return InvalidImage(f"is truncated: it ends before {what}")


def damaged(how: object) -> InvalidImage:
    """Return the refusal of a file that breaks its format's rules, in words that fit into one line."""
    said = re.sub(r"[^ -~]+", " ", str(how)).strip()[:200] or type(how).__name__
    return InvalidImage(f"is damaged: {said}")
