"""A JPEG that was cut and given an end marker again: the decoder would paint what is lacking, and say nothing."""

import io
import re

import pytest
from PIL import Image, ImageFile

from apps.jobs.types.image import decoding, formats
from apps.jobs.types.image.errors import InvalidImage
from tests.jobs.types.image.pictures import corners, file, opened, process, refusal

LIMIT = 50_000_000
EOI = b"\xff\xd9"


def photo(mode="RGB", size=(600, 400), **options):
    """Return a picture with much in it, as a JPEG."""
    noise = Image.effect_noise(size, 60)
    picture = Image.merge("RGB", [noise, noise.rotate(90).resize(size), noise.rotate(180)]).convert(mode)
    return file(picture, "JPEG", **options)


def decoded(data, **options):
    return decoding.decode(formats.read(data, most_pixels=LIMIT), **options)


KINDS = {
    "plain": {}, "grey": {"mode": "L"}, "cmyk": {"mode": "CMYK"}, "small": {"size": (9, 300)}, "no subsampling": {"subsampling": 0},
    "4:2:0": {"subsampling": 2}, "restarts": {"restart_marker_blocks": 5}, "best": {"quality": 100}, "worst": {"quality": 5},
    "progressive": {"progressive": True}, "optimised": {"optimize": True}, "one pixel wide": {"size": (1, 400)},
}


@pytest.mark.parametrize(("kind", "part"), [
    (kind, part) for kind in KINDS for part in (0.3, 0.5, 0.75) if (kind, part) != ("progressive", 0.75)   # a limit, see images.md
])
def test_a_file_that_was_cut_and_ended_again_is_refused(kind, part):
    data = photo(**KINDS[kind])
    cut = data[: int(len(data) * part)].rstrip(b"\xff") + EOI

    with pytest.raises(InvalidImage, match="is truncated: it ends before the "):
        decoded(cut)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_whole_file_is_not_and_is_decoded_as_ever(kind):
    data = photo(**KINDS[kind])

    plain = opened(data)
    assert plain.convert("RGB").tobytes() == decoded(data).convert("RGB").tobytes()


@pytest.mark.parametrize("colour", [0, 1, 127, 128, 254, 255])
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (7, 3), (16, 17), (640, 480), (2000, 3)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_the_smallest_and_the_plainest_are_whole(colour, size, options):
    assert size == decoded(file(Image.new("RGB", size, (colour,) * 3), "JPEG", **options)).size


def test_a_whole_one_that_is_decoded_smaller_is_whole_and_a_cut_one_is_not():
    data = photo(size=(1600, 1200))

    assert (400, 300) == decoded(data, needed=(200, 150)).size
    with pytest.raises(InvalidImage, match="is truncated"):
        decoded(data[: len(data) // 2] + EOI, needed=(200, 150))


def test_a_job_says_so_and_what_stands_behind_the_end_changes_nothing():
    data = file(corners(600, 400), "JPEG", quality=95)

    assert "/payload/source: is truncated: it ends before the last row of its picture" == refusal(data[: len(data) // 2] + EOI)
    assert (600, 400) == process(data + b"\0" * 1000).picture.size


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_the_library_alone_takes_it(options):
    data = photo(**options)
    cut = data[: len(data) // 2] + EOI

    assert (600, 400) == opened(cut).size
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_progressive_file_without_its_last_scan_is_refused_and_with_any_order_of_them_taken():
    data = photo(progressive=True)
    scans = [found.start() for found in re.finditer(rb"\xff\xda", data)]

    with pytest.raises(InvalidImage, match="before the last scan"):
        decoded(data[: scans[-1]] + EOI)
    assert len(scans) > 5


def test_a_broken_scan_is_left_to_the_decoder():
    data = bytearray(photo())
    at = data.index(b"\xff\xda")
    data[at + 4] = 200

    with pytest.raises(InvalidImage):
        decoded(bytes(data))
    assert Image.open(io.BytesIO(photo())).format == "JPEG"
