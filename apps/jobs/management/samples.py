"""One real job of each type that works with files: a picture, a report, and a mail that brings both.

What they make is looked at from outside, as a user would.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from apps.jobs.management import watch
from apps.jobs.management.stack import Stack
from apps.jobs.management.watch import Failed
from core import clock

Sample: TypeAlias = tuple[str, Callable[[], str]]
PNG = b"\x89PNG\r\n\x1a\n"
SIDES, SMALL = (192, 128), (48, 32)
REMARK = b"tEXtComment\0made by the smoke test"


@dataclass(slots=True, kw_only=True)
class Samples:
    """What is tried at one stack. `mail_to`: whom the mail is for; nobody gets one unasked."""

    stack: Stack
    seconds: float
    mail_to: str = ""
    made: list[str] = field(default_factory=list)
    """The artifacts so far, which the mail takes along."""

    def offered(self, types: set[str]) -> Iterator[Sample]:
        """Yield what can be tried where these types are known."""
        samples: dict[str, Callable[[], str]] = {"image.process": self.image, "report.generate": self.report}
        if self.mail_to:
            samples["email.send"] = self.email
        yield from ((name, sample) for name, sample in samples.items() if name in types)

    def image(self) -> str:
        """Have a picture made smaller that was drawn here, and see that its remark is gone."""
        source = watch.expect(201, self.stack.upload("/api/v1/artifacts", name="smoke.png", content=picture())).content
        result = self._ran("image.process", {
            "source": {"artifact": source["id"]}, "operations": [{"op": "thumbnails", "sizes": [SMALL[0]]}],
        })
        (item,) = result["artifacts"]
        small = self._fetched(item["id"], begins=PNG)
        if struct.unpack_from(">II", small, 16) != SMALL or REMARK in small:
            raise Failed(f"{item['name']} is not the picture of {SMALL[0]} x {SMALL[1]} pixels without its remark")
        return f"{SIDES[0]} x {SIDES[1]} pixels to {item['name']}, {item['width']} x {item['height']}, {item['size']} bytes, no metadata"

    def report(self) -> str:
        """Have a report made of the last hour."""
        result = self._ran("report.generate", last_hour("pdf"))
        self._fetched(result["artifact"], begins=b"%PDF-")
        return f"{result['name']}, {result['bytes']} bytes"

    def email(self) -> str:
        """Send what the others have made."""
        text = "The smoke test of Latchwork sends you what it has made: a picture and a report, as far as they came to be.\n"
        result = self._ran("email.send", {
            "to": [self.mail_to], "subject": "Latchwork works", "text": text, "attachments": self.made,
        })
        if result["accepted"] != [self.mail_to]:
            raise Failed(f"the mail server refused {result['refused']}")
        return f"to {self.mail_to} with {len(self.made)} attachments, {result['bytes']} bytes"

    def _ran(self, type_name: str, payload: dict[str, Any]) -> dict[str, Any]:
        body = {"type": type_name, "payload": payload, "max_attempts": 1, "tags": ["smoke"]}
        job = watch.expect(201, watch.posted(self.stack, body, seconds=self.seconds)).content
        result: dict[str, Any] = watch.completed(self.stack, job, seconds=self.seconds)["result"]
        return result

    def _fetched(self, artifact_id: str, *, begins: bytes) -> bytes:
        content = watch.expect(200, self.stack.get(f"/api/v1/artifacts/{artifact_id}")).body
        if not content.startswith(begins):
            raise Failed(f"artifact {artifact_id} begins with {content[:8]!r}, expected {begins!r}")
        self.made.append(artifact_id)
        return content


def last_hour(form: str) -> dict[str, Any]:
    """Return the payload of a report of the last hour."""
    now = clock.now()
    period = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(minutes=1)).isoformat()}
    return {"report": "jobs_summary", "format": form, **period}


def picture() -> bytes:
    """Return a PNG with a gradient and a remark. By hand, because whoever only looks needs no library for pictures."""
    width, height = SIDES
    rows = b"".join(
        b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 160)) for x in range(width)) for y in range(height)
    )
    parts = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), REMARK, b"IDAT" + zlib.compress(rows), b"IEND")
    return PNG + b"".join(struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
