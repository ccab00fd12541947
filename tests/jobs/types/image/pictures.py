"""Pictures to send in, and what comes out of the type for them: through stored files, as a worker would."""

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image

from apps.jobs import Discard
from apps.jobs.services import artifacts
from apps.jobs.testing import run_handler

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@dataclass(frozen=True)
class Done:
    """A result, and its pictures by their names, opened."""

    result: dict
    files: dict[str, bytes]

    @property
    def pictures(self) -> dict[str, Image.Image]:
        return {name: opened(data) for name, data in self.files.items()}

    @property
    def picture(self) -> Image.Image:
        (only,) = self.pictures.values()
        return only


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def file(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def corners(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Return a picture whose quarters differ, so that it is seen which way it was turned: red, green, blue, white."""
    picture = Image.new("RGB", (width, height), RED)
    half = (width // 2, height // 2)
    picture.paste(GREEN, (half[0], 0, width, half[1]))
    picture.paste(BLUE, (0, half[1], half[0], height))
    picture.paste(WHITE, (*half, width, height))
    return picture.convert(mode)


def colours(picture: Image.Image) -> list[str]:
    """Return the colours of the corners, named by the nearest: upper left, upper right, lower left, lower right."""
    named = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    plain, (width, height) = picture.convert("RGB"), picture.size
    spots = [(width // 8, height // 8), (width - 1 - width // 8, height // 8), (width // 8, height - 1 - height // 8),
             (width - 1 - width // 8, height - 1 - height // 8)]   # fmt: skip
    return [
        min(named, key=lambda name: sum(abs(a - b) for a, b in zip(named[name], plain.getpixel(spot), strict=True)))
        for spot in spots
    ]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, *, bits: int = 8, kind: int = 2) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))


def attempt(data: bytes, *operations: dict, **context):
    """Store a file, and do with it what a worker's attempt would."""
    source = artifacts.save("picture", data)
    return run_handler("image.process", {"source": {"artifact": str(source.id)}, "operations": list(operations)}, **context)


def process(data: bytes, *operations: dict) -> Done:
    """Return what the type makes of a file."""
    handled = attempt(data, *operations)
    assert handled.outcome is None, handled.outcome
    files = {}
    for item in handled.result["artifacts"]:
        with artifacts.open(handled.context.saved[item["name"]]) as stored:
            files[item["name"]] = stored.read()
    return Done(handled.result, files)


def refusal(data: bytes, *operations: dict) -> str:
    """Return why a file ends its job as a dead letter."""
    handled = attempt(data, *operations)
    assert isinstance(handled.outcome, Discard), handled.result
    assert {} == handled.context.saved
    return handled.outcome.reason
