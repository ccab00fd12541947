"""image.process: sizes, pieces, formats, sets, and what is said about them."""

import pytest
from PIL import Image

from apps.jobs.errors import Cancelled
from apps.jobs.services import artifacts
from apps.jobs.testing import run_handler
from tests.jobs.types.image.pictures import RED, attempt, colours, corners, file, opened, process


def resize(**fields) -> dict:
    return {"op": "resize", **fields}


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        (resize(width=30), (30, 20)),
        (resize(height=20), (30, 20)),
        (resize(width=30, height=30), (30, 20)),
        (resize(width=120), (120, 80)),
        (resize(width=120, enlarge=False), (60, 40)),
        (resize(width=30, height=30, fit="cover"), (30, 30)),
        (resize(width=80, height=80, fit="cover"), (80, 80)),
        (resize(width=80, height=80, fit="cover", enlarge=False), (40, 40)),
        (resize(width=10, height=40, fit="fill"), (10, 40)),
        (resize(width=100, height=20, fit="fill", enlarge=False), (60, 20)),
        (resize(width=1), (1, 1)),
        ({"op": "crop", "x": 10, "y": 20, "width": 50, "height": 20}, (50, 20)),
        ({"op": "crop", "width": 60, "height": 40}, (60, 40)),
        ({"op": "crop", "x": 59, "y": 39, "width": 1, "height": 1}, (1, 1)),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_has_the_size_that_was_asked_for(operation, size, kind):
    done = process(file(corners(60, 40), kind), operation)

    (item,) = done.result["artifacts"]
    assert (size, size) == (done.picture.size, (item["width"], item["height"]))


def test_a_crop_takes_the_piece_that_it_names():
    right = process(file(corners(60, 40)), {"op": "crop", "x": 30, "y": 0, "width": 30, "height": 40}).picture

    assert ["green", "green", "white", "white"] == colours(right)


def test_cover_cuts_off_both_sides_alike():
    picture = Image.new("RGB", (300, 100), "white")
    picture.paste(RED, (100, 0, 200, 100))

    middle = process(file(picture), resize(width=50, height=50, fit="cover")).picture

    assert ((50, 50), ["red"] * 4) == (middle.size, colours(middle))


def test_operations_are_done_in_their_order():
    crop = {"op": "crop", "width": 30, "height": 20}

    assert (15, 10) == process(file(corners(60, 40)), crop, resize(width=15)).picture.size
    assert (30, 20) == process(file(corners(60, 40)), resize(width=120), crop).picture.size


def test_a_large_jpeg_that_is_only_made_smaller_is_the_same_as_one_decoded_whole():
    picture = corners(2000, 1501)

    small = process(file(picture, "JPEG", quality=95), resize(width=101), {"op": "convert", "format": "png"}).picture

    whole = picture.resize((101, 76), Image.Resampling.LANCZOS)
    assert whole.size == small.size
    assert colours(whole) == colours(small)


def test_a_thumbnail_set_is_stored_beside_the_picture_or_alone():
    sets = {"op": "thumbnails", "sizes": [16, 32, 500]}

    alone = process(file(corners(60, 40), "JPEG"), sets, {"op": "quality", "quality": 70})
    beside = process(file(corners(60, 40), "JPEG"), sets, {"op": "convert", "format": "webp"})

    assert {"thumbnail-16.jpg": (16, 11), "thumbnail-32.jpg": (32, 21), "thumbnail-500.jpg": (60, 40)} == {
        name: picture.size for name, picture in alone.pictures.items()
    }
    assert ["thumbnail-16.jpg", "thumbnail-32.jpg", "thumbnail-500.jpg", "image.webp"] == list(beside.files)
    assert "WEBP" == beside.pictures["image.webp"].format


def test_covering_thumbnails_are_squares_and_never_larger_than_the_picture():
    done = process(file(corners(60, 40)), {"op": "thumbnails", "sizes": [16, 100], "fit": "cover"})

    assert [(16, 16), (40, 40)] == [picture.size for picture in done.pictures.values()]


def test_two_sets_of_one_size_have_two_names():
    done = process(
        file(corners()), {"op": "thumbnails", "sizes": [16]}, {"op": "crop", "width": 30, "height": 20},
        {"op": "thumbnails", "sizes": [16]},
    )

    assert ["thumbnail-16.png", "thumbnail-16-2.png", "image.png"] == list(done.files)


@pytest.mark.parametrize("given", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp", "gif"])
def test_every_format_becomes_every_other(given, wanted):
    done = process(file(corners(), given), {"op": "convert", "format": wanted})

    assert (wanted.upper(), ["red", "green", "blue", "white"]) == (done.picture.format, colours(done.picture))
    assert f"image/{wanted}" == done.result["artifacts"][0]["content_type"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_without_operations_the_format_stays(kind):
    done = process(file(corners(), kind))

    assert (kind, (60, 40)) == (done.picture.format, done.picture.size)


def test_the_result_tells_everything_about_each_file_and_the_source():
    data = file(corners(60, 40), "JPEG")

    done = process(data, {"op": "convert", "format": "png"})

    (item,) = done.result["artifacts"]
    (content,) = done.files.values()
    assert {"format": "jpeg", "size": len(data), "width": 60, "height": 40, "animated": False} == done.result["source"]
    assert {
        "id": item["id"], "name": "image.png", "content_type": "image/png", "size": len(content), "width": 60, "height": 40,
    } == item


def test_what_is_stored_is_known_by_its_content_as_what_the_result_says():
    handled = attempt(file(corners()), {"op": "convert", "format": "webp"})

    (item,) = handled.result["artifacts"]
    artifact = artifacts.get(handled.context.saved["image.webp"])
    assert (item["id"], item["content_type"], item["size"]) == (str(artifact.id), artifact.content_type, artifact.size)


def test_less_quality_makes_smaller_files_and_says_nothing_to_png():
    noise = Image.effect_noise((200, 200), 80).convert("RGB")

    def size(quality: int, kind: str) -> int:
        operations = [{"op": "quality", "quality": quality}, {"op": "convert", "format": kind}]
        return process(file(noise), *operations).result["artifacts"][0]["size"]

    assert size(10, "jpeg") < size(90, "jpeg")
    assert size(10, "webp") < size(90, "webp")
    assert size(10, "png") == size(90, "png")


def test_another_attempt_stores_the_same_files_under_the_same_names():
    source = str(artifacts.save("picture", file(corners())).id)
    payload = {"source": {"artifact": source}, "operations": [{"op": "thumbnails", "sizes": [16, 32]}]}
    first = run_handler("image.process", payload)

    second = run_handler("image.process", payload, id=first.context.id, attempt=2)

    assert first.result == second.result


def test_progress_is_told_and_a_cancellation_heard_between_the_pictures():
    sets = {"op": "thumbnails", "sizes": [8, 16, 32]}
    notes = [progress.note for progress in attempt(file(corners()), sets).progress]

    with pytest.raises(Cancelled):
        attempt(file(corners()), sets, cancel_after=3)

    assert ["thumbnail-8.png", "thumbnail-16.png", "thumbnail-32.png"] == notes


def test_a_picture_of_one_pixel_is_a_picture():
    done = process(file(Image.new("RGB", (1, 1), RED)), {"op": "thumbnails", "sizes": [64]}, resize(width=3))

    assert {"thumbnail-64.png": (1, 1), "image.png": (3, 3)} == {n: p.size for n, p in done.pictures.items()}


def test_a_very_long_picture_keeps_at_least_a_pixel_of_its_short_side():
    assert (50, 1) == process(file(Image.new("L", (5000, 2))), resize(width=50)).picture.size


def test_opened_reads_what_file_writes():
    assert ["red", "green", "blue", "white"] == colours(opened(file(corners())))
