"""`python -m bench`: measure, say how it goes on stderr, write the report and print its table."""

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "platform")]   # a bare checkout works without being installed

from bench import options, report, stage  # noqa: E402  the path comes first
from bench.results import Results  # noqa: E402


def main() -> int:
    """Run what the command line asks for."""
    asked = options.parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that servers and files go as they do after Ctrl-C
    results = Results()
    results.say("starting PostgreSQL and Valkey of our own, and migrating")
    statements = asked.statements or "churn" in asked.parts
    with stage.built(statements=statements, settings=dict(asked.postgres)) as built:
        from bench import run  # noqa: PLC0415  needs Django, which the stage has set up

        try:
            run.measure(asked, built, results)
        except KeyboardInterrupt:
            results.say("interrupted: reporting what there is")
        finally:
            folder = report.write(results, asked, built)
    print(report.table(results))
    print(f"\nwritten to {folder.relative_to(ROOT)}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
