"""The operations in their order, one picture in memory at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from PIL import Image

from apps.jobs.types.image import decoding, encoding, geometry
from apps.jobs.types.image.formats import Format, Source
from apps.jobs.types.image.geometry import Plan, Size
from apps.jobs.types.image.payload import Convert, Crop, ImageProcess, Quality, Resize, Thumbnails

GAP = 3.0   # first halve by whole pixels, then resample: several times faster, and no eye sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One finished picture, to be stored."""

    name: str
    content_type: str
    width: int
    height: int
    content: bytes = field(repr=False)


def run(source: Source, payload: ImageProcess, *, most_pixels: int, check: Callable[[], None]) -> Iterator[Made]:
    """Yield the pictures as they are made; `check` is called between the steps, each of which takes a second or so."""
    needed = geometry.needed(
        source.upright, payload.operations, stores_itself=payload.stores_itself, most_pixels=most_pixels,
    )
    desk = _Desk(decoding.decode(source, needed=needed), size=source.upright, kind=source.format)
    for number, each in enumerate(payload.operations):
        check()
        match each:
            case Resize():
                desk.resize(geometry.resized(
                    desk.size, each, most_pixels=most_pixels, pointer=f"/payload/operations/{number}",
                ))
            case Crop():
                desk.crop(geometry.cropped(desk.size, each, pointer=f"/payload/operations/{number}"))
            case Convert():
                desk.kind, desk.background = each.format, each.background
            case Quality():
                desk.quality = each.quality
            case Thumbnails():
                for side in each.sizes:
                    check()
                    plan = geometry.thumbnail(desk.size, side, fit=each.fit)
                    yield desk.made(f"thumbnail-{side}", desk.drawn(plan))
    if payload.stores_itself:
        check()
        yield desk.made("image", desk.picture)


class _Desk:
    """The picture that is being worked on. `size` is what it would be had it been decoded whole, and is what counts."""

    def __init__(self, picture: Image.Image, *, size: Size, kind: Format) -> None:
        self.picture, self.size, self.kind = picture, size, kind
        self.quality: int | None = None
        self.background = "#ffffff"
        self._names: set[str] = set()

    def drawn(self, plan: Plan) -> Image.Image:
        """Return what the plan says, made from the picture."""
        wide, high = self.picture.width / self.size[0], self.picture.height / self.size[1]
        left, upper, right, lower = plan.box
        box = (left * wide, upper * high, min(right * wide, self.picture.width), min(lower * high, self.picture.height))
        if plan.size == self.picture.size and box == (0, 0, *self.picture.size):
            return self.picture
        return self.picture.resize(plan.size, Image.Resampling.LANCZOS, box=box, reducing_gap=GAP)

    def resize(self, plan: Plan) -> None:
        """Go on with what the plan says."""
        self.picture = self.drawn(plan)
        self.size = plan.size

    def crop(self, edges: tuple[int, int, int, int]) -> None:
        """Go on with a piece."""
        self.picture = self.picture.crop(edges)
        self.size = self.picture.size

    def made(self, stem: str, picture: Image.Image) -> Made:
        """Return a picture as a file, under a name that no other of this job has, the same in every attempt."""
        content = encoding.encode(picture, self.kind, quality=self.quality, background=self.background)
        name, number = f"{stem}.{encoding.SUFFIXES[self.kind]}", 1
        while name in self._names:
            number += 1
            name = f"{stem}-{number}.{encoding.SUFFIXES[self.kind]}"
        self._names.add(name)
        return Made(
            name=name, content_type=encoding.CONTENT_TYPES[self.kind], width=picture.width, height=picture.height,
            content=content,
        )
