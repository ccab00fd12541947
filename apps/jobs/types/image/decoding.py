"""From a read file to pixels of one of three kinds (grey, colour, colour with transparency), in sRGB and upright."""

import io
from typing import Any

import structlog
from PIL import Image, ImageChops, ImageCms

from apps.jobs.types.image.ending import Endless
from apps.jobs.types.image.formats import Source
from apps.jobs.types.image.formats.source import damaged
from apps.jobs.types.image.geometry import Size

log = structlog.get_logger(__name__)

MODES = ("L", "RGB", "RGBA")
SPACES = {"L": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}   # which profiles say something about which pixels
MOST_PROFILE_BYTES = 4 * 1024 * 1024
SPARE = 2   # a JPEG is decoded to twice the size that is needed, because its decoder halves coarsely
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}   # fmt: skip


def decode(source: Source, *, needed: Size | None = None) -> Image.Image:
    """Return the picture upright; a JPEG perhaps smaller than it is, but not than `needed`.

    Only the one format that was read is allowed, and what came out is compared with what was read: no second opinion
    about what the file is gets a chance.
    """
    try:
        opened = Image.open(io.BytesIO(source.content), formats=[source.format.upper()])
        if opened.size != (source.width, source.height):
            raise damaged(f"its decoder finds {opened.size[0]} x {opened.size[1]} pixels")
        if needed is not None:
            wanted = needed if source.orientation < 5 else (needed[1], needed[0])
            opened.draft("", (wanted[0] * SPARE, wanted[1] * SPARE))
        if source.is_one_scan:
            opened.load_read = Endless(source).read  # type: ignore[attr-defined]  # the library's hook for who reads otherwise
        opened.load()
        profile = opened.info.get("icc_profile")
        picture = _in_srgb(opened if opened.mode == "CMYK" else _plain(opened), profile)
        picture = picture.convert("RGB") if picture.mode == "CMYK" else picture
    except (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, EOFError, TypeError) as exc:
        raise damaged(exc) from exc   # what its parsers stumble over; a lack of memory is another thing
    picture.info = {}   # the encoders look there for what else to write
    turn = UPRIGHT.get(source.orientation)
    return picture.transpose(turn) if turn is not None else picture


def _plain(picture: Image.Image) -> Image.Image:
    mode, transparent = picture.mode, "transparency" in picture.info
    if mode == "I;16":
        return _of_16_bits(picture)
    if transparent or mode in ("LA", "PA") or (mode == "P" and picture.palette and picture.palette.mode == "RGBA"):
        return picture.convert("RGBA")
    if mode in MODES:
        return picture
    return picture.convert("L" if mode == "1" else "RGB")


def _of_16_bits(picture: Image.Image) -> Image.Image:
    grey = picture.point(lambda value: value * (1 / 256)).convert("L")   # its own conversion cuts off what is above 255
    clear = picture.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    wide = picture.convert("I")
    above, below = wide.point(lambda value: value * 1 - clear), wide.point(lambda value: value * -1 + clear)
    alpha = ImageChops.lighter(above.convert("L"), below.convert("L")).point(lambda value: 255 if value else 0)
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _in_srgb(picture: Image.Image, profile: Any) -> Image.Image:
    """Return the picture in sRGB; one without a profile is taken to be in it, as browsers do, and one with a broken
    profile too.
    """
    if not profile or len(profile) > MOST_PROFILE_BYTES:
        return picture
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given.profile.xcolor_space.strip() != SPACES.get(picture.mode):
            return picture
        if ImageCms.getProfileDescription(given).startswith("sRGB"):
            return picture
        target = ImageCms.createProfile("sRGB")
        in_place = picture.mode in ("RGB", "RGBA")   # the largest pictures are not held twice
        mode = picture.mode if in_place else "RGB"
        made = ImageCms.profileToProfile(picture, given, target, outputMode=mode, inPlace=in_place)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as exc:
        log.info("image.profile_ignored", reason=str(exc)[:200])
        return picture
    return made or picture
