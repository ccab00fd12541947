"""From pixels to a file that holds them and nothing else."""

import io
from typing import Any

from PIL import Image

from apps.jobs.types.image.errors import InvalidImage
from apps.jobs.types.image.formats import Format

SIDES = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383, "gif": 65_535}   # what each format can count to
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif"}
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif"}
QUALITIES = {"jpeg": 85, "webp": 80}


def encode(picture: Image.Image, kind: Format, *, quality: int | None, background: str) -> bytes:
    """Return the picture as a file of that format. `picture.info` must be empty: encoders write what stands there."""
    if max(picture.size) > SIDES[kind]:
        raise InvalidImage(
            f"make {picture.width} x {picture.height} pixels: {kind} has at most {SIDES[kind]} a side", pointer="/payload/operations",
        )
    options: dict[str, Any] = {}
    if kind in QUALITIES:
        options["quality"] = quality or QUALITIES[kind]
    if kind == "jpeg":
        picture, options["optimize"] = _opaque(picture, background), True
    target = io.BytesIO()
    picture.save(target, format=kind.upper(), **options)
    return target.getvalue()


def _opaque(picture: Image.Image, background: str) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, background)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
