from collections.abc import Iterator

import pydantic
import pytest

from tests.support.caller import admin, operator, viewer

__all__ = ["admin", "note", "operator", "viewer"]


@pytest.fixture
def note() -> Iterator[str]:
    """A registered type that wants a text, in a queue of its own."""
    from tests.support.factories import registered

    class Note(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        text: str

    with registered("test.note", payload=Note, queue="notes", priority=3, max_attempts=2):
        yield "test.note"
