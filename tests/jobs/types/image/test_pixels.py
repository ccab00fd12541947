"""image.process: which way is up, and what colours and transparency become."""

import io
import struct
import zlib

import pytest
from PIL import ExifTags, Image, ImageCms

from apps.jobs.types.image import decoding, formats
from tests.jobs.types.image.pictures import chunk, colours, corners, file, png_header, process

UPRIGHT = ["red", "green", "blue", "white"]
UNDO = {   # what a camera that wrote this orientation has done to the picture
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}   # fmt: skip
TO_PNG = {"op": "convert", "format": "png"}


def oriented(value: int, kind: str, *, order: str = "<") -> bytes:
    turn = UNDO[value]
    picture = corners(60, 40) if turn is None else corners(60, 40).transpose(turn)
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Orientation] = value
    return file(picture, kind, exif=exif)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_of_the_eight_orientations_is_turned_upright(value, kind):
    done = process(oriented(value, kind))

    assert (UPRIGHT, (60, 40)) == (colours(done.picture), done.picture.size)
    assert (60, 40) == (done.result["source"]["width"], done.result["source"]["height"])


@pytest.mark.parametrize("value", range(2, 9))
def test_what_was_written_for_the_test_is_not_upright_by_itself(value):
    assert UPRIGHT != colours(Image.open(io.BytesIO(oriented(value, "PNG"))))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_sizes_and_crops_mean_the_upright_picture(value, order):
    data = oriented(value, "JPEG", order=order)

    small = process(data, {"op": "resize", "width": 30, "height": 20, "fit": "fill"}).picture
    piece = process(data, {"op": "crop", "x": 30, "y": 20, "width": 30, "height": 20}).picture

    assert ((30, 20), UPRIGHT) == (small.size, colours(small))
    assert ((30, 20), ["white"] * 4) == (piece.size, colours(piece))


@pytest.mark.parametrize(
    "exif",
    [
        b"", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0II*\0" + struct.pack("<I", 2**32 - 1),
        b"Exif\0\0II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 9, 0),       # no such orientation
        b"Exif\0\0II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 2, 1, 6, 0),       # as text
        b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 65535, 0x0110, 3, 1),           # more tags than there are
    ],
)
def test_exif_that_makes_no_sense_is_no_reason_to_turn_or_refuse(exif):
    assert UPRIGHT == colours(process(file(corners(), "JPEG", exif=exif)).picture)


def test_a_jpeg_that_is_only_made_smaller_is_decoded_smaller_and_only_then():
    source = formats.read(file(corners(1600, 1200), "JPEG"), most_pixels=2_000_000)

    assert (200, 150) == decoding.decode(source, needed=(100, 75)).size
    assert (1600, 1200) == decoding.decode(source).size


def test_sixteen_bits_of_grey_keep_their_brightness():
    deep = Image.new("I;16", (2, 1))
    deep.putpixel((0, 0), 0x8000)
    deep.putpixel((1, 0), 0x0100)

    picture = process(file(deep)).picture

    assert ("L", [0x80, 0x01]) == (picture.mode, [picture.getpixel((x, 0)) for x in (0, 1)])


def test_a_transparent_grey_of_sixteen_bits_stays_transparent():
    rows = b"\0" + struct.pack(">HH", 0x8000, 0x4000)
    data = png_header(2, 1, bits=16, kind=0) + chunk(b"tRNS", struct.pack(">H", 0x4000)) + chunk(
        b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    picture = process(data).picture

    assert [(128, 128, 128, 255), (64, 64, 64, 0)] == [picture.getpixel((x, 0)) for x in (0, 1)]


def test_sixteen_bits_of_colour_are_brought_to_eight():
    rows = b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0x0100)
    data = png_header(1, 1, bits=16) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")

    assert (255, 128, 1) == process(data).picture.getpixel((0, 0))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_transparency_becomes_the_background_in_jpeg_and_stays_elsewhere(kind):
    picture = corners(mode="RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 30, 20))
    data = file(picture, kind)

    assert ["white", "green", "blue", "white"] == colours(process(data, {"op": "convert", "format": "jpeg"}).picture)
    green = process(data, {"op": "convert", "format": "jpeg", "background": "#00fF00"}).picture
    assert ["green", "green", "blue", "white"] == colours(green)
    for stays in ("png", "webp", "gif"):
        kept = process(data, {"op": "convert", "format": stays}).picture.convert("RGBA")
        assert (0, 255) == (kept.getpixel((5, 5))[3], kept.getpixel((55, 35))[3])


def test_half_transparency_is_mixed_with_the_background():
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))

    red, green, blue = process(file(half), {"op": "convert", "format": "jpeg"}).picture.getpixel((1, 1))

    assert (255, True, True) == (red, 120 < green < 135, 120 < blue < 135)


def test_what_is_transparent_does_not_bleed_into_what_is_made_smaller():
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))   # an invisible red
    picture.paste((0, 0, 255, 255), (0, 0, 32, 64))

    made = process(file(picture), {"op": "resize", "width": 16}).picture

    assert 0 == max(made.getpixel((x, 8))[0] for x in range(16) if made.getpixel((x, 8))[3] > 10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp", "gif"])
def test_every_kind_of_pixel_becomes_every_format(mode, wanted):
    picture = {
        "P": lambda: corners().convert("P", palette=Image.Palette.ADAPTIVE),
        "1": lambda: corners().convert("1", dither=Image.Dither.NONE),
    }.get(mode, lambda: corners(mode=mode))()

    made = process(file(picture), {"op": "convert", "format": wanted}, {"op": "resize", "width": 30}).picture

    assert (colours(picture), (30, 20)) == (colours(made), made.size)


def test_a_palette_with_several_transparencies_keeps_them():
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for x in range(3):
        picture.putpixel((x, 0), x)

    made = process(file(picture, transparency=bytes([0, 128, 255]))).picture

    assert [0, 128, 255] == [made.convert("RGBA").getpixel((x, 0))[3] for x in range(3)]


def test_cmyk_becomes_colours_that_everybody_shows():
    picture = process(file(corners(mode="CMYK"), "JPEG", quality=95)).picture

    assert ("RGB", UPRIGHT) == (picture.mode, colours(picture))


def swapped_profile() -> bytes:
    """Return a profile in which red and green have changed places, so that its use is seen."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(int.from_bytes(profile[128:132]))}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = profile[green + 4 : green + 12], profile[red + 4 : red + 12]
    return bytes(profile).replace("sRGB built-in".encode("utf-16-be"), "swapped-sRGB-".encode("utf-16-be")).replace(
        b"sRGB built-in", b"swapped-sRGB-")


def cmyk_profile() -> bytes:
    """Return a profile of a printer whose cyan is a deep blue, so that its use is seen; all other inks are black."""
    white, blue, black = bytes([255, 128, 128]), bytes([82, 207, 20]), bytes([0, 128, 128])   # in Lab
    inks = [white, *[black] * 7, blue, *[black] * 7]   # cyan, magenta, yellow, black: the last one varies first
    line = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + line * 4 + b"".join(inks) + line * 3
    table += bytes(-len(table) % 4)
    point = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(point), b"A2B0", 156 + len(point), len(table))
    size = 156 + len(point) + len(table)
    head = struct.pack(">II4s4s4s4s", size, 0, bytes([2, 64, 0, 0]), b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    illuminant = struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(68 - len(head)) + illuminant + bytes(128 - 80) + tags + point + table


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_colours_are_brought_to_srgb_by_the_profile(kind):
    profile = swapped_profile()

    picture = process(file(corners(), kind, icc_profile=profile)).picture

    assert ["green", "red", "blue", "white"] == colours(picture)
    assert UPRIGHT == colours(process(file(corners(), kind)).picture)
    assert "icc_profile" not in picture.info


def test_a_profile_leaves_transparency_alone_and_holds_for_palettes():
    clear = corners(mode="RGBA")
    clear.putalpha(77)
    palette = corners().convert("P", palette=Image.Palette.ADAPTIVE)

    made = process(file(clear, icc_profile=swapped_profile())).picture

    assert (77, ["green", "red", "blue", "white"]) == (made.getpixel((5, 5))[3], colours(made))
    assert ["green", "red", "blue", "white"] == colours(process(file(palette, icc_profile=swapped_profile())).picture)


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 200, swapped_profile()[:300], b"x" * (5 * 1024 * 1024)])
def test_a_broken_profile_is_passed_over(profile):
    assert UPRIGHT == colours(process(file(corners(), "JPEG", icc_profile=profile)).picture)


def test_a_profile_of_other_colours_than_the_picture_is_passed_over():
    assert UPRIGHT == colours(process(file(corners(mode="CMYK"), "JPEG", icc_profile=swapped_profile())).picture)


def test_a_cmyk_jpeg_with_its_profile_is_brought_to_srgb():
    cyan = Image.new("CMYK", (60, 40), (255, 0, 0, 0))

    with_profile = process(file(cyan, "JPEG", icc_profile=cmyk_profile()), TO_PNG).picture
    without = process(file(cyan, "JPEG"), TO_PNG).picture

    assert ["RGB", "RGB"] == [with_profile.mode, without.mode]
    assert [(True, True), (True, False)] == [
        (blue > 200, green < 60) for _, green, blue in (with_profile.getpixel((30, 20)), without.getpixel((30, 20)))
    ]
