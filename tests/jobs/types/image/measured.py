"""Run pictures through the type in a process of its own, and print for each the most memory that it took, in MiB."""

import re
import sys
from pathlib import Path

import django

django.setup()

from apps.jobs.types.image import formats, pipeline  # noqa: E402  the types' models need the settings
from apps.jobs.types.image.payload import ImageProcess  # noqa: E402  as above


def memory(kind: str) -> float:
    """Return what the kernel says: VmRSS, what is there now, or VmHWM, the most since it was forgotten."""
    return int(re.search(rf"{kind}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024


def main(payload: str, most_pixels: str, *paths: str) -> None:
    wanted = ImageProcess.model_validate_json(payload)
    for path in paths:
        data = Path(path).read_bytes()
        Path("/proc/self/clear_refs").write_text("5")   # forget the most so far
        before = memory("VmRSS")
        source = formats.read(data, most_pixels=int(most_pixels))
        del data
        made = list(pipeline.run(source, wanted, most_pixels=int(most_pixels), check=lambda: None))
        print(memory("VmHWM") - before, [(each.width, each.height) for each in made])   # noqa: T201  what it is for


if __name__ == "__main__":
    main(*sys.argv[1:])
