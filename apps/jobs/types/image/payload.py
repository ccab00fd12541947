"""What `image.process` is told: a picture, and a list of operations that are done in its order."""

import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from apps.jobs.errors import refused
from apps.jobs.types.image.formats import Format
from core import outgoing

MOST_SIDE = 16_383   # WebP's limit, the smallest of the formats
OPS = ("resize", "crop", "convert", "quality", "thumbnails")
MOST_OPERATIONS = 20
MOST_PICTURES = 50
Side = Annotated[int, Field(strict=True, ge=1, le=MOST_SIDE)]
Offset = Annotated[int, Field(strict=True, ge=0, le=65_535)]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceOf(_Given):
    """Where the picture is: exactly one of the two."""

    artifact: uuid.UUID | None = Field(None, description="the id of a stored file")
    url: str | None = Field(None, description="http or https, without user or password, at a public address")

    @field_validator("url")
    @classmethod
    def _may_be_called(cls, url: str | None) -> str | None:
        try:
            if url is not None:
                outgoing.check(url)
        except outgoing.BadRequest as exc:
            raise refused(exc.reason) from exc
        except outgoing.Refused as exc:
            raise refused(str(exc)) from exc
        return url

    @model_validator(mode="after")
    def _is_one(self) -> "SourceOf":
        if (self.artifact is None) == (self.url is None):
            raise refused("give artifact or url, exactly one of them", field="url" if self.artifact else "artifact")
        return self


class Resize(_Given):
    """Make it another size. One side alone keeps the ratio."""

    op: Literal["resize"]
    width: Side | None = None
    height: Side | None = None
    fit: Literal["contain", "cover", "fill"] = Field(
        "contain",
        description="contain: all of it within the box; cover: the box is filled, what stands out is cut off on both "
        "sides alike; fill: exactly the box, whatever that does to the ratio",
    )
    enlarge: bool = Field(default=True, strict=True, description="whether it may get more pixels than it has")

    @model_validator(mode="after")
    def _has_a_box(self) -> "Resize":
        if self.width is None and self.height is None:
            raise refused("give width, height or both", field="width")
        if self.fit != "contain" and (self.width is None or self.height is None):
            raise refused(f"{self.fit} needs width and height", field="height" if self.width else "width")
        return self


class Crop(_Given):
    """Cut a piece out, which must lie within the picture."""

    op: Literal["crop"]
    x: Offset = Field(0, description="of its left edge, from the left")
    y: Offset = Field(0, description="of its upper edge, from the top")
    width: Side
    height: Side


class Convert(_Given):
    """Say in which format the pictures from here on are stored."""

    op: Literal["convert"]
    format: Format
    background: str = Field(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="what shows through where JPEG cannot be transparent",
    )


class Quality(_Given):
    """Say how much JPEG and WebP may lose from here on; PNG and GIF have no such measure."""

    op: Literal["quality"]
    quality: int = Field(strict=True, ge=1, le=100)


class Thumbnails(_Given):
    """Store small ones of the picture as it is now, and go on with it. They are never larger than it."""

    op: Literal["thumbnails"]
    sizes: list[Side] = Field(min_length=1, max_length=20, description="of the square that each must fit in, in pixels")
    fit: Literal["contain", "cover"] = Field("contain", description="as for resize; cover makes squares")

    @field_validator("sizes")
    @classmethod
    def _differ(cls, sizes: list[int]) -> list[int]:
        if len(set(sizes)) < len(sizes):
            raise refused("holds a size twice")
        return sizes


def _names_an_operation(given: object) -> object:
    if isinstance(given, dict) and given.get("op") not in OPS:
        raise refused(f"op must be one of {', '.join(OPS)}", field="op")
    return given


Operation = Annotated[
    Resize | Crop | Convert | Quality | Thumbnails, Field(discriminator="op"), BeforeValidator(_names_an_operation),
]


class ImageProcess(_Given):
    """A picture and what is done to it. It is turned upright and freed of metadata in any case."""

    source: SourceOf
    operations: list[Operation] = Field(default=[], max_length=MOST_OPERATIONS)

    @model_validator(mode="after")
    def _is_not_too_much(self) -> "ImageProcess":
        made = sum(len(each.sizes) for each in self.operations if isinstance(each, Thumbnails)) + self.stores_itself
        if made > MOST_PICTURES:
            raise refused(f"operations would store {made} pictures: at most {MOST_PICTURES}", field="operations")
        return self

    @property
    def stores_itself(self) -> bool:
        """Say whether the picture is stored beside its thumbnails: when more was asked for than these."""
        kinds = {type(each) for each in self.operations}
        return Thumbnails not in kinds or bool(kinds & {Resize, Crop, Convert})
