"""image.process: every kind of wrong file ends its job at once, with field and reason, and stores nothing."""

import io
import random
import struct
import zipfile
import zlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image, ImageFile

from apps.jobs import Discard
from apps.jobs.services import artifacts
from apps.jobs.testing import run_handler
from apps.jobs.types.image import decoding, formats
from apps.jobs.types.image.errors import InvalidImage
from tests.jobs.types.image.pictures import (
    attempt,
    chunk,
    corners,
    file,
    opened,
    png_header,
    process,
    refusal,
)

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
LIMIT = 50_000_000


def bomb(width: int, height: int) -> bytes:
    """Return a whole and honest PNG of black pixels, which takes a thousandth of what it unpacks to."""
    packer, row = zlib.compressobj(9), bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return png_header(width, height, bits=1, kind=0) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def animation(kind: str, frames: int = 3) -> bytes:
    pictures = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")[:frames]]
    return file(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=100)


def test_a_png_of_20000_by_20000_is_refused_by_its_header(monkeypatch):
    data = bomb(20_000, 20_000)
    monkeypatch.setattr(decoding, "decode", lambda *_, **__: pytest.fail("it was decoded"))

    reason = refusal(data, {"op": "resize", "width": 10})

    assert len(data) < 100_000
    assert f"/payload/source: has 20000 x 20000 pixels: at most {LIMIT} in all are decoded (IMAGE_MAX_PIXELS)" == reason


def test_what_was_refused_for_its_size_is_a_picture_where_the_limit_allows(settings):
    data = bomb(2000, 2000)
    settings.IMAGE_MAX_PIXELS = 3_999_999

    too_large = refusal(data)
    settings.IMAGE_MAX_PIXELS = 4_000_000

    assert "2000 x 2000 pixels" in too_large
    assert (2000, 2000) == process(data).picture.size


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a" + struct.pack("<HHBBB", 20_000, 20_000, 0, 0, 0) + b";",
        b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0) + b"\2\0;",
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 8, 8, 20_000, 20_000, 1),
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + (b"\xfe\x3f\0") * 2,
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<IBI", 10, 0x2F, 0xFFFFFFF) + bytes(5),
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
        png_header(2**31 - 1, 2**31 - 1),
    ],
)
def test_every_format_is_refused_by_its_header_before_anything_else_is_read(data):
    assert "in all are decoded (IMAGE_MAX_PIXELS)" in refusal(data)


def test_a_webp_may_have_half_the_pixels_because_its_decoder_takes_twice_the_memory(settings):
    settings.IMAGE_MAX_PIXELS = 1_000_000

    assert "at most 500000 in all" in refusal(file(Image.new("L", (800, 800)), "WEBP"))
    assert (800, 800) == process(file(Image.new("L", (800, 800)), "PNG")).picture.size


WHOLE = {
    "png": lambda: file(corners()), "jpeg": lambda: file(corners(), "JPEG"),
    "progressive jpeg": lambda: file(corners(), "JPEG", progressive=True), "gif": lambda: file(corners(), "GIF"),
    "webp": lambda: file(corners(), "WEBP"), "lossless webp": lambda: file(corners(), "WEBP", lossless=True),
    "animated webp": lambda: animation("WEBP"), "animated gif": lambda: animation("GIF"),
    "webp with transparency": lambda: file(corners(mode="RGBA"), "WEBP"), "interlaced gif": lambda: file(corners(), "GIF", interlace=1),
}   # fmt: skip


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_that_was_cut_anywhere_is_refused(kind):
    data = WHOLE[kind]()

    accepted = []
    for length in range(len(data)):
        try:
            decoding.decode(formats.read(data[:length], most_pixels=LIMIT))
        except InvalidImage:
            continue
        accepted.append(length)

    assert [] == accepted
    assert decoding.decode(formats.read(data, most_pixels=LIMIT))


def test_a_truncated_jpeg_says_that_it_is():
    data = file(corners(600, 400), "JPEG")

    assert "/payload/source: is truncated: it ends before its end marker" == refusal(data[: len(data) // 2])
    assert "/payload/source: is truncated: " in refusal(data[:30])


def test_truncated_files_are_refused_even_where_the_application_has_told_the_library_otherwise(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = file(corners(600, 400), "JPEG")

    assert "is truncated" in refusal(data[:-2])
    assert opened(data[:-2]).size == (600, 400)   # what the library alone makes of it


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (SVG, "is an SVG drawing, whatever its name says: PNG, JPEG, WebP and GIF are opened"),
        (b"\xef\xbb\xbf  \n" + SVG, "is an SVG drawing"),
        (b"<!DOCTYPE html><title>404</title>", "is HTML or XML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript program"),
        (b"\xc5\xd0\xd3\xc6" + bytes(60), "is a PostScript program"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (file(corners(), "TIFF"), "is a TIFF picture"),
        (file(corners(), "BMP"), "is a BMP picture"),
        (file(corners(), "ICO"), "is a Windows icon"),
        (file(corners(), "AVIF"), "is an ISO-media file (HEIC, AVIF or a film)"),
        (file(corners(), "JPEG2000"), "is a JPEG 2000 picture"),
        (file(corners(), "PPM"), "is no picture that is known here"),
        (b"PK\3\4" + bytes(60), "is a ZIP archive"),
        (b"RIFF\4\0\0\0WAVE", "is a RIFF file (sound or film)"),
        (b"just text", "is no picture that is known here"),
        (b"\x89PNG", "is no picture that is known here"),
        (bytes(1000), "is no picture that is known here"),
        (b"\x89PNG\r\n\x1a\n" + SVG, "is damaged: "),
        (b"\xff\xd8\xff\xe0" + SVG, "is truncated: "),
        (b"GIF89a" + SVG, "has 16188 x 28024 pixels"),
        (b"RIFF" + struct.pack("<I", 4 + len(SVG)) + b"WEBP" + SVG, "is "),
    ],
)
def test_what_is_no_picture_of_ours_is_refused_by_what_it_is(data, says):
    assert refusal(data).startswith(f"/payload/source: {says}")


def test_an_svg_that_poses_as_png_is_refused_whatever_it_is_called():
    source = artifacts.save("photo.png", SVG)

    outcome = run_handler("image.process", {"source": {"artifact": str(source.id)}}).outcome

    assert isinstance(outcome, Discard)
    assert ("InvalidImage", True) == (outcome.error, "is an SVG drawing" in outcome.reason)


def png_with(*chunks: bytes, header: bytes = b"") -> bytes:
    return (header or png_header(1, 1)) + b"".join(chunks) + chunk(b"IEND", b"")


IDAT = chunk(b"IDAT", zlib.compress(bytes(4)))
JPEG = file(corners(8, 8), "JPEG")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (png_with(IDAT, header=png_header(0, 5)), "has a header of 0 x 5 pixels"),
        (png_with(), "is a PNG without a picture in it"),
        (png_with(chunk(b"IDAT", b"")), "is damaged: "),
        (png_with(chunk(b"IDAT", b"no zlib")), "is damaged: "),
        (png_with(IDAT, header=png_header(9, 9)), "is damaged: "),
        (png_with(IDAT, header=png_header(1, 1, bits=3)), "is damaged: "),
        (png_with(IDAT[:-1] + b"\0"), "is damaged: the checksum of a chunk IDAT is wrong"),
        (png_with(png_header(900, 900)[8:], IDAT), "is damaged: it has two headers"),
        (png_with(chunk(b"a<b>", b""), IDAT), "is damaged: a chunk is named"),
        (b"\x89PNG\r\n\x1a\n" + IDAT + chunk(b"IEND", b""), "is damaged: it does not begin with a header"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR", "is truncated: "),
        (b"\xff\xd8\xff\xd9", "is a JPEG without a picture in it"),
        (b"\xff\xd8" + JPEG[2:].replace(b"\xff\xc0", b"\xff\xc3", 1), "is damaged: "),
        (JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "is a JPEG of 12 bits a sample: 8 are decoded"),
        (JPEG.replace(b"\xff\xc0\x00\x11\x08\x00\x08", b"\xff\xc0\x00\x11\x08\x00\x00"), "has a header of 8 x 0 pixels"),
        (JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0"):JPEG.index(b"\xff\xc4")] + JPEG[2:], "is damaged: it has two frames"),
        (b"GIF89a" + bytes(7) + b";", "is a GIF without a picture in it"),
        (b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"x", "is damaged: a block begins with 78"),
        (b"RIFF\x04\0\0\0WEBP", "is a WebP without a picture in it"),
        (b"RIFF\x0c\0\0\0WEBPEXIF\0\0\0\0", "is damaged: "),
    ],
)
def test_a_file_that_breaks_the_rules_of_its_format_is_refused(data, says):
    assert refusal(data).startswith(f"/payload/source: {says}")


@pytest.mark.parametrize("crop", [
    {"x": 50, "width": 11, "height": 10}, {"y": 31, "width": 10, "height": 10}, {"x": 60, "width": 1, "height": 1},
    {"x": 65535, "y": 65535, "width": 1, "height": 1}, {"width": 61, "height": 40},
])   # fmt: skip
def test_a_crop_outside_of_the_picture_is_refused_with_the_size_that_it_has(crop):
    reason = refusal(file(corners(60, 40)), {"op": "crop", "x": 0, "y": 0} | crop)

    assert reason.startswith("/payload/operations/0: reaches to ")
    assert reason.endswith("but the picture is 60 x 40 pixels there")


def test_a_crop_of_what_was_made_smaller_counts_in_the_smaller_one():
    operations = [{"op": "resize", "width": 30}, {"op": "crop", "width": 60, "height": 40}]

    assert refusal(file(corners(60, 40)), *operations).startswith("/payload/operations/1: reaches to 60, 40, but the picture is 30 x 20")


@pytest.mark.parametrize("operation", [
    {"op": "resize", "width": 16383, "height": 16383, "fit": "fill"}, {"op": "resize", "width": 16383},
    {"op": "resize", "height": 16000},
])   # fmt: skip
def test_a_result_above_the_limit_is_refused_before_it_is_made(operation):
    reason = refusal(file(corners(60, 40), "JPEG"), {"op": "quality", "quality": 50}, operation)

    assert reason.startswith("/payload/operations/1: makes ")
    assert f"at most {LIMIT} in all (IMAGE_MAX_PIXELS)" in reason


def test_what_a_format_cannot_hold_is_refused():
    tall = file(Image.new("L", (1, 66_000)))

    for kind, most in (("jpeg", 65_500), ("webp", 16_383), ("gif", 65_535)):
        assert f"/payload/operations: make 1 x 66000 pixels: {kind} has at most {most} a side" == refusal(
            tall, {"op": "convert", "format": kind})
    assert (1, 66_000) == process(tall).picture.size


def test_an_unknown_artifact_is_refused_with_its_id():
    missing = "01993c1e-0000-7000-8000-000000000000"

    outcome = run_handler("image.process", {"source": {"artifact": missing}}).outcome

    assert outcome.reason.startswith(f"/payload/source/artifact: there is no artifact {missing}")


def test_a_file_of_more_than_32_mib_is_refused(settings):
    settings.JOBS = replace(settings.JOBS, artifact_max_bytes=64 * 1024 * 1024)

    assert "/payload/source/artifact: has more than 33554432 bytes" in refusal(file(corners()) + bytes(32 * 1024 * 1024))


def test_a_result_that_may_not_be_stored_ends_the_job(settings):
    data = file(Image.effect_noise((300, 300), 90), "JPEG", quality=50)
    settings.JOBS = replace(settings.JOBS, artifact_max_bytes=len(data) + 1000)

    reason = refusal(data, {"op": "convert", "format": "png"})

    assert reason.startswith("/payload/operations: what they make cannot be stored: is larger than")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_the_result_says_so(kind):
    done = process(animation(kind))

    assert (True, 1) == (done.result["source"]["animated"], getattr(done.picture, "n_frames", 1))
    assert (20, 10) == done.picture.size
    assert done.picture.convert("RGB").getpixel((5, 5))[0] > 250


def test_a_picture_that_is_also_an_archive_is_only_a_picture_afterwards():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened_archive:
        opened_archive.writestr("evil.html", "<script>alert(1)</script>")

    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        data = file(corners(), kind) + archive.getvalue()
        (content,) = process(data).files.values()
        assert (True, False) == (zipfile.is_zipfile(io.BytesIO(data)), zipfile.is_zipfile(io.BytesIO(content)))


def test_a_gif_that_is_also_a_script_is_only_a_picture_afterwards():
    script = b"*/=1;alert(1)/*"
    data = file(corners(), "GIF")
    flags = data[10]
    palette_end = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    data = data[:palette_end] + b"!\xfe" + bytes([len(script)]) + script + b"\0" + data[palette_end:]

    (content,) = process(data).files.values()

    assert (True, False) == (script in data, script in content)


def test_a_file_of_crumbs_is_refused_before_it_takes_seconds():
    crumbs = {
        "png": png_with(chunk(b"abCd", b"") * 100_001, IDAT),
        "jpeg": JPEG[:2] + b"\xff\xfe\0\2" * 100_001 + JPEG[2:],
        "webp": b"RIFF" + struct.pack("<I", 4 + 18 + 8 * 100_001) + b"WEBPVP8X" + struct.pack("<II", 10, 0) + bytes(6)
        + b"abcd\0\0\0\0" * 100_001,
        "gif": b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"!\xfe\0" * 100_001,
    }   # fmt: skip

    for data in crumbs.values():
        assert "has more than 100000 parts" in refusal(data)


def test_a_jpeg_with_hundreds_of_scans_is_refused():
    data = file(corners(), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    scan = data[first:data.index(b"\xff", first + 4)]

    assert "has more than 50 scans" in refusal(data[:first] + scan * 51 + data[first:])


def test_a_long_row_of_filling_bytes_is_read_in_one_walk():
    assert "is truncated" in refusal(b"\xff\xd8" + b"\xff" * 20_000_000)


def test_texts_that_unpack_to_gigabytes_are_not_unpacked():
    packed = zlib.compress(bytes(50_000_000), 9)
    texts = [chunk(b"zTXt", f"k{number}\0\0".encode() + packed) for number in range(40)]

    assert (1, 1) == process(png_with(*texts, IDAT)).picture.size


def test_exif_whose_tags_all_name_the_same_large_value_takes_no_memory():
    count = 5000
    tags = b"".join(struct.pack("<HHII", 0x8000 + number, 7, 60_000, 8) for number in range(count))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + tags
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]

    assert (8, 8) == process(data).picture.size


@pytest.mark.parametrize("kind", ["png", "jpeg", "progressive jpeg", "gif", "webp", "lossless webp", "animated gif"])
def test_whatever_is_done_to_a_files_bytes_it_is_a_picture_or_refused(kind):
    whole, chance = WHOLE[kind](), random.Random(4711)
    outcomes = set()
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decoding.decode(formats.read(bytes(data), most_pixels=1_000_000))
            outcomes.add("picture")
        except InvalidImage:
            outcomes.add("refused")

    assert "refused" in outcomes


def test_a_lack_of_memory_is_no_fault_of_the_file(monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(decoding.Image, "open", exhausted)

    with pytest.raises(MemoryError):
        attempt(file(corners()))


def test_the_decoder_is_told_the_one_format_and_its_size_is_compared(monkeypatch):
    asked = []

    def other(stream, *, formats):
        asked.append(formats)
        return SimpleNamespace(size=(9000, 9000))

    monkeypatch.setattr(decoding.Image, "open", other)

    reasons = [refusal(file(corners(), kind)) for kind in ("PNG", "JPEG", "GIF", "WEBP")]

    assert [["PNG"], ["JPEG"], ["GIF"], ["WEBP"]] == asked
    assert {"/payload/source: is damaged: its decoder finds 9000 x 9000 pixels"} == set(reasons)
