"""What is typed at a terminal of a job; what is not of jobs alone is read in `core.management.arguments`."""

import uuid
from argparse import ArgumentTypeError


def job_id(text: str) -> uuid.UUID:
    """Read a job's id."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no id of a job: those look like 0198c5b2-7d3a-7c4e-9f00-5a1b2c3d4e5f") from None
