from dataclasses import asdict
from typing import Any

from apps.jobs.management.output import MutatingCommand, listing
from apps.jobs.services import sealing


class Command(MutatingCommand):
    help = (
        "Seal the sealed fields of all jobs, finished ones too, with the first key of SEAL_KEYS, in small batches, and say "
        "which older keys open nothing any more. Give every process the new order of keys first, and run it again with "
        "--dry-run before you remove a key."
    )

    def act(self, **_: Any) -> None:
        told = sealing.rotate(dry_run=self.dry_run)
        listed = {
            "key that seals": told.key,
            "jobs with sealed fields": told.jobs,
            "values to seal anew" if self.dry_run else "values sealed anew": told.resealed,
            "jobs that were busy": told.busy,
            "values that no key opens": told.unopened,
            "values by key": ", ".join(f"{name} {count}" for name, count in sorted(told.keys.items())),
        }
        self.answer({**asdict(told), "dry_run": self.dry_run}, text=f"{listing(listed)}\n{_said(told)}")


def _said(told: sealing.Rotated) -> str:
    if told.busy:
        return "Some jobs were held by their handlers: run it again."
    if told.unneeded:
        keys = ", ".join(told.unneeded)
        return f"Nothing that is stored needs {keys}: once every process has the new order, remove it from SEAL_KEYS."
    return "No key of SEAL_KEYS can go: each is needed, or there is only one."
