"""image.process: what is refused already when the job is made, with field and reason."""

import re

import pytest

from apps.jobs import registry
from apps.jobs.errors import InvalidJob

ARTIFACT = "01993c1e-0000-7000-8000-000000000000"


def problems(operations: object = (), **payload) -> str:
    given = {"source": {"artifact": ARTIFACT}, "operations": list(operations) if isinstance(operations, tuple) else operations}
    with pytest.raises(InvalidJob) as invalid:
        registry.get("image.process").check({**given, **payload})
    return str(invalid.value)


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ({}, "/operations/0/op: op must be one of resize, crop, convert, quality, thumbnails"),
        ({"op": "rotate"}, "/operations/0/op: op must be one of resize"),
        ({"op": "resize"}, "/operations/0/width: give width, height or both"),
        ({"op": "resize", "width": 0}, "/operations/0/width: .*greater than or equal to 1"),
        ({"op": "resize", "width": -5}, "/operations/0/width: "),
        ({"op": "resize", "width": 16384}, "/operations/0/width: .*less than or equal to 16383"),
        ({"op": "resize", "width": 1.5}, "/operations/0/width: "),
        ({"op": "resize", "width": "100"}, "/operations/0/width: "),
        ({"op": "resize", "width": True}, "/operations/0/width: "),
        ({"op": "resize", "width": 10, "fit": "cover"}, "/operations/0/height: cover needs width and height"),
        ({"op": "resize", "width": 10, "height": 10, "fit": "stretch"}, "/operations/0/fit: "),
        ({"op": "resize", "width": 10, "angle": 90}, "/operations/0/angle: "),
        ({"op": "resize", "width": 10, "enlarge": "yes"}, "/operations/0/enlarge: "),
        ({"op": "crop", "x": 0, "y": 0, "width": 0, "height": 10}, "/operations/0/width: .*greater than or equal to 1"),
        ({"op": "crop", "x": -1, "width": 10, "height": 10}, "/operations/0/x: .*greater than or equal to 0"),
        ({"op": "crop", "width": 10}, "/operations/0/height: Field required"),
        ({"op": "convert", "format": "svg"}, "/operations/0/format: .*'png', 'jpeg', 'webp' or 'gif'"),
        ({"op": "convert", "format": "tiff"}, "/operations/0/format: "),
        ({"op": "convert"}, "/operations/0/format: Field required"),
        ({"op": "convert", "format": "jpeg", "background": "red"}, "/operations/0/background: "),
        ({"op": "quality", "quality": 0}, "/operations/0/quality: "),
        ({"op": "quality", "quality": 101}, "/operations/0/quality: .*less than or equal to 100"),
        ({"op": "quality", "quality": 1e308}, "/operations/0/quality: "),
        ({"op": "quality"}, "/operations/0/quality: Field required"),
        ({"op": "thumbnails", "sizes": []}, "/operations/0/sizes: "),
        ({"op": "thumbnails", "sizes": [64, 64]}, "/operations/0/sizes: holds a size twice"),
        ({"op": "thumbnails", "sizes": [64, 0]}, "/operations/0/sizes/1: "),
        ({"op": "thumbnails", "sizes": list(range(1, 22))}, "/operations/0/sizes: "),
        ({"op": "thumbnails", "sizes": [64], "fit": "fill"}, "/operations/0/fit: "),
    ],
)
def test_a_wrong_operation_is_refused_with_its_field(operation, says):
    assert re.search(f"^/payload{says}", problems((operation,)))


def test_the_pointer_names_the_operation_that_is_wrong():
    fine = {"op": "resize", "width": 10}

    assert problems((fine, {"op": "quality", "quality": 50}, {**fine, "width": 0})).startswith("/payload/operations/2/width: ")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "/source/artifact: give artifact or url, exactly one of them"),
        ({"artifact": ARTIFACT, "url": "https://example.com/a.png"}, "/source/url: give artifact or url, exactly one"),
        ({"artifact": "../../etc/passwd"}, "/source/artifact: "),
        ({"path": "/etc/passwd"}, "/source/path: "),
        ({"url": "file:///etc/passwd"}, "/source/url: must begin with http"),
        ({"url": "https://user:secret@example.com/"}, "/source/url: must not hold a user or password"),
        ({"url": "gopher://example.com/"}, "/source/url: must begin with http"),
        ("https://example.com/a.png", "/source: "),
    ],
)
def test_a_wrong_source_is_refused_with_its_field(source, says):
    assert re.search(f"^/payload{says}", problems(source=source))


def test_more_operations_or_pictures_than_are_allowed_are_refused():
    sets = [{"op": "thumbnails", "sizes": list(range(1, 21))}] * 3

    assert "/payload/operations: " in problems([{"op": "quality", "quality": 50}] * 21)
    assert "/payload/operations: operations would store 60 pictures: at most 50" in problems(sets)


def test_a_missing_source_and_an_unknown_field_are_named():
    with pytest.raises(InvalidJob) as missing:
        registry.get("image.process").check({"operations": []})

    assert "/payload/source: Field required" == str(missing.value)
    assert problems(quality=80).startswith("/payload/quality: ")
