"""image.process: nothing of a file but its pixels reaches a result."""

import io
import re
import struct
import zlib

import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from apps.jobs.types.image import formats
from tests.jobs.types.image.pictures import chunk, corners, file, process

SECRET = "geheim-4711"
PARTS_OF_PIXELS = {
    "JPEG": {0xC0, 0xC4, 0xDA, 0xDB, 0xE0, 0xEE},   # E0 is JFIF and EE Adobe, which say how colours are stored
    "PNG": {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"},
    "WEBP": {b"VP8X", b"ALPH", b"VP8 ", b"VP8L"},
}


def exif() -> Image.Exif:
    """Return what a telephone writes: maker, owner, and where it was."""
    written = Image.Exif()
    written[ExifTags.Base.Make] = SECRET
    written[ExifTags.Base.Artist] = SECRET
    written[ExifTags.Base.Orientation] = 1
    gps = written.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (52.0, 31.0, 12.0)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (13.0, 24.0, 36.0)
    gps[ExifTags.GPS.GPSAreaInformation] = SECRET
    written.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = SECRET.encode()
    return written


def profile() -> bytes:
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data + SECRET.encode()


def xmp() -> bytes:
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>{SECRET}</a></x:xmpmeta>".encode()


def jpeg() -> bytes:
    data = file(corners(), "JPEG", exif=exif(), icc_profile=profile(), comment=SECRET, xmp=xmp(), dpi=(4711, 4711))
    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(SECRET) + 5) + b"\x1c\x02\x78\0\x0b" + SECRET.encode()
    extra = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in ((0xED, iptc), (0xEB, b"C2PA" + SECRET.encode()))
    )
    return data[:2] + extra + data[2:] + b"PK\x03\x04" + SECRET.encode()


def png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SECRET)
    texts.add_text("Zipped", SECRET, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", xmp().decode())
    data = file(corners(), "PNG", exif=exif(), icc_profile=profile(), pnginfo=texts, dpi=(4711, 4711))
    last = chunk(b"tIME", b"\x07\xea\x0b\x19\x00\x00\x00") + chunk(b"prVt", SECRET.encode()) + chunk(b"IEND", b"")
    return data[:-12] + last + SECRET.encode()


def webp() -> bytes:
    return file(corners(), "WEBP", exif=exif(), icc_profile=profile(), xmp=xmp()) + SECRET.encode()


def gif() -> bytes:
    return file(corners(), "GIF", comment=SECRET) + SECRET.encode()


GIVEN = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "GIF": gif}


def parts(data: bytes) -> set[bytes] | set[int]:
    """Return the kinds of parts in a JPEG, PNG or WebP."""
    if data.startswith(b"\x89PNG"):
        return set(re.findall(rb"(?<=...)(?:IHDR|PLTE|IDAT|IEND|[a-z][A-Z][A-Z][a-z]|[a-z][A-Z]{2}[a-z]|[a-z]{2}[A-Z][a-z])", data)) & {
            b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tIME", b"prVt", b"pHYs", b"tRNS"}
    if data.startswith(b"RIFF"):
        kinds, at = set(), 12
        while at < len(data):
            kinds.add(data[at:at + 4])
            length = struct.unpack_from("<I", data, at + 4)[0]
            at += 8 + length + length % 2
        return kinds
    kinds, at = set(), 2
    while data[at + 1] != 0xD9:
        kinds.add(data[at + 1])
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        while data[at] != 0xFF or data[at + 1] in (0, *range(0xD0, 0xD8)):
            at += 1
    return kinds


def found_in(data: bytes) -> set[str]:
    """Return what of somebody's life can be found in a file: in the plain, in what is compressed, by a library."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    found = {f"info {name}" for name in ("exif", "xmp", "icc_profile", "comment", "photoshop", "dpi") if picture.info.get(name)}
    found |= {f"tag {tag}" for tag in picture.getexif()}
    found |= {"gps"} if picture.getexif().get_ifd(ExifTags.IFD.GPSInfo) else set()
    found |= {"plain"} if SECRET.encode() in data else set()
    found |= {f"text {name}" for name in getattr(picture, "text", {})}
    for start in re.finditer(b"\x78[\x01\x5e\x9c\xda]", data):
        try:
            found |= {"zipped"} if SECRET.encode() in zlib.decompressobj().decompress(data[start.start():]) else set()
        except zlib.error:
            continue
    return found


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("wanted", ["jpeg", "png", "webp", "gif"])
def test_no_metadata_is_left(given, wanted):
    data = GIVEN[given]()

    done = process(data, {"op": "convert", "format": wanted}, {"op": "thumbnails", "sizes": [16]})

    assert "plain" in found_in(data)
    assert [set(), set()] == [found_in(content) for content in done.files.values()]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_result_consists_of_nothing_but_the_parts_that_make_pixels(kind):
    (content,) = process(GIVEN[kind]()).files.values()

    assert not parts(content) - PARTS_OF_PIXELS[kind]
    assert parts(GIVEN[kind]()[:-len(SECRET)] if kind == "WEBP" else GIVEN[kind]()) - PARTS_OF_PIXELS[kind]


def test_gps_was_there_and_is_gone():
    data = jpeg()
    (content,) = process(data).files.values()

    def place(of: bytes) -> dict:
        return dict(Image.open(io.BytesIO(of)).getexif().get_ifd(ExifTags.IFD.GPSInfo))

    assert "N" == place(data)[ExifTags.GPS.GPSLatitudeRef]
    assert {} == place(content)


def test_a_part_that_the_library_would_stumble_over_is_never_shown_to_it():
    broken = b"MPF\0" + SECRET.encode()   # the index of further pictures, which a still one does not need
    data = jpeg()
    data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(broken) + 2) + broken + data[2:]

    with pytest.warns(UserWarning, match="malformed MPO"):
        Image.open(io.BytesIO(data), formats=["JPEG"])
    assert (60, 40) == process(data).picture.size


@pytest.mark.parametrize("given", GIVEN)
def test_the_decoder_does_not_even_see_the_metadata(given):
    data = GIVEN[given]()

    content = formats.read(data, most_pixels=1_000_000).content

    left = found_in(content) - {"info icc_profile", "plain", "zipped", "info dpi"}   # its colours may need the profile
    assert (set(), True) == (left, len(content) < len(data))
    assert content.replace(profile(), b"").count(SECRET.encode()) == 0 or given == "PNG"
