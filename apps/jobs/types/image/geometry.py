"""How large a picture becomes, and which part of it is taken: numbers alone, no pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.payload import Convert, Crop, Operation, Quality, Resize, Thumbnails

Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """The size to make, and the part of the picture to make it from (left, upper, right, lower)."""

    size: Size
    box: tuple[float, float, float, float]


def resized(size: Size, resize: Resize, *, most_pixels: int, pointer: str) -> Plan:
    """Plan a resize; raise `InvalidImage` when the result would be too large."""
    width, height = size
    if resize.fit == "contain":
        scale = min(Fraction(asked, side) for asked, side in ((resize.width, width), (resize.height, height)) if asked)
        made = _scaled(size, scale if resize.enlarge else min(scale, Fraction(1)))
        plan = Plan(made, (0, 0, width, height))
    else:
        made = (resize.width or width, resize.height or height)
        if not resize.enlarge and resize.fit == "cover":
            made = _scaled(made, min(Fraction(1), Fraction(width, made[0]), Fraction(height, made[1])))
        elif not resize.enlarge:
            made = (min(made[0], width), min(made[1], height))
        plan = Plan(made, _middle(size, made) if resize.fit == "cover" else (0, 0, width, height))
    if made[0] * made[1] > most_pixels:
        raise InvalidImage(
            f"makes {made[0]} x {made[1]} pixels of {width} x {height}: at most {most_pixels} in all (IMAGE_MAX_PIXELS)",
            pointer=pointer,
        )
    return plan


def thumbnail(size: Size, side: int, *, fit: str) -> Plan:
    """Plan a thumbnail, which is never larger than the picture."""
    asked = Resize(op="resize", width=side, height=side, fit="cover" if fit == "cover" else "contain", enlarge=False)
    return resized(size, asked, most_pixels=size[0] * size[1], pointer="")


def cropped(size: Size, crop: Crop, *, pointer: str) -> tuple[int, int, int, int]:
    """Return the edges of a crop; raise `InvalidImage` when some of it lies outside."""
    right, lower = crop.x + crop.width, crop.y + crop.height
    if right > size[0] or lower > size[1]:
        raise InvalidImage(
            f"reaches to {right}, {lower}, but the picture is {size[0]} x {size[1]} pixels there", pointer=pointer,
        )
    return crop.x, crop.y, right, lower


def needed(size: Size, operations: Sequence[Operation], *, stores_itself: bool, most_pixels: int) -> Size | None:
    """Return a size that is enough to decode to, or None when every pixel counts.

    It is what the largest of the pictures needs that are made directly from the whole; a crop names pixels of the
    whole, and so needs them.
    """
    sides: list[Size] = []
    for number, each in enumerate(operations):
        match each:
            case Convert() | Quality():
                continue
            case Thumbnails():
                sides += [_from_whole(size, thumbnail(size, side, fit=each.fit)) for side in each.sizes]
            case Resize():
                plan = resized(size, each, most_pixels=most_pixels, pointer=f"/payload/operations/{number}")
                sides.append(_from_whole(size, plan))
                break
            case Crop():
                return None
    else:
        if stores_itself:
            return None
    return (max(side[0] for side in sides), max(side[1] for side in sides)) if sides else None


def _from_whole(size: Size, plan: Plan) -> Size:
    """Return how large the whole picture would be when a part of it makes the plan's size."""
    left, upper, right, lower = plan.box
    return round(plan.size[0] * size[0] / (right - left)), round(plan.size[1] * size[1] / (lower - upper))


def _scaled(size: Size, scale: Fraction) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _middle(size: Size, shape: Size) -> tuple[float, float, float, float]:
    """Return the largest part in the middle that has the shape's ratio."""
    width, height = size
    scale = min(width / shape[0], height / shape[1])
    wide, high = shape[0] * scale, shape[1] * scale
    left, upper = max(0.0, (width - wide) / 2), max(0.0, (height - high) / 2)
    return left, upper, min(width, left + wide), min(height, upper + high)
