"""image.process: what large pictures take, measured from outside."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.jobs.types.image.pictures import file

SIDE = (3000, 2000)
PIXELS = SIDE[0] * SIDE[1]
MIB = 1024 * 1024
SOURCE = {"url": "https://example.com/"}
MOST_BYTES_A_PIXEL = {"png": 12, "jpeg": 13, "gif": 13, "webp": 21}   # a turned one is held twice; decoders hold their own
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


def taken(operations: list[dict], files: dict[str, bytes], folder) -> dict[str, float]:
    """Return the bytes that each file took for each pixel."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    payload = json.dumps({"source": SOURCE, "operations": operations})
    command = [sys.executable, "-m", "tests.jobs.types.image.measured", payload, str(PIXELS * 2), *(folder / name for name in files)]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.splitlines()
    return {name: float(line.split()[0]) * MIB / PIXELS for name, line in zip(files, said, strict=True)}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Return one turned picture in all formats."""
    gradient = Image.linear_gradient("L").resize(SIDE, Image.Resampling.NEAREST)
    photo = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.FLIP_LEFT_RIGHT), gradient))
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "png": file(photo, "PNG", compress_level=1, exif=exif), "jpeg": file(photo, "JPEG", progressive=True, exif=exif),
        "gif": file(photo.convert("P"), "GIF"), "webp": file(photo, "WEBP", method=0, exif=exif),
    }   # fmt: skip


def test_the_memory_for_each_pixel_is_bounded(files, tmp_path):
    operations = [{"op": "thumbnails", "sizes": [64, 256]}, {"op": "resize", "width": 2000}]

    measured = taken(operations, files, tmp_path)

    assert {} == {name: most for name, most in measured.items() if most > MOST_BYTES_A_PIXEL[name]}
    assert min(measured.values()) > 3   # it was measured


def test_a_jpeg_that_is_only_made_small_takes_a_fraction(tmp_path):
    gradient = Image.linear_gradient("L").resize(SIDE, Image.Resampling.NEAREST)
    baseline = {"jpeg": file(Image.merge("RGB", [gradient] * 3), "JPEG")}

    small = taken([{"op": "thumbnails", "sizes": [64, 256]}], baseline, tmp_path)["jpeg"]
    whole = taken([{"op": "crop", "width": 64, "height": 64}], baseline, tmp_path)["jpeg"]

    assert small < whole / 4
