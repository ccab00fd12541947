"""Make reports one after the other in a process of its own, and print the peak of memory after each.

`python -m tests.jobs.types.report.measured PAYLOAD…`, each in JSON. The peak is VmHWM: `ru_maxrss` of a child begins with
what its parent had.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import django

STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Return the most memory that this process has had at once."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def main(payloads: Sequence[str]) -> None:
    django.setup()
    from apps.jobs import testing

    for payload in payloads:
        since = time.monotonic()
        handled = testing.run_handler("report.generate", json.loads(payload))
        assert isinstance(handled.result, dict), handled.outcome
        facts = {name: handled.result[name] for name in ("format", "rows", "left_out", "bytes")}
        facts |= {"peak_mib": round(peak_mib(), 1), "seconds": round(time.monotonic() - since, 1)}
        print(json.dumps(facts), flush=True)  # noqa: T201  what the parent reads


if __name__ == "__main__":
    main(sys.argv[1:])
