"""What a person does with single jobs, several at once: each is done or refused for itself."""

import uuid
from abc import abstractmethod
from argparse import ArgumentParser
from typing import Any, ClassVar

from apps.jobs.management.arguments import job_id
from apps.jobs.management.output import MutatingCommand, Refused
from core.errors import PlatformError


class JobAction(MutatingCommand):
    """One action on the jobs whose ids are given; exits with 1 when any was refused, and the others are done."""

    verb: ClassVar[str]
    done: ClassVar[str]

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="+", type=job_id, metavar="ID", help="a job, as jobs_list shows it")

    @abstractmethod
    def apply(self, *args: Any, **options: Any) -> None:
        """Do it to one job, or raise why not."""

    def act(self, *, ids: list[uuid.UUID], **options: Any) -> None:
        word = f"would {self.verb}" if self.dry_run else self.done
        outcomes: list[dict[str, Any]] = []
        for one in dict.fromkeys(ids):
            try:
                self.apply(one, **options)
            except PlatformError as exc:
                outcomes.append({"id": one, "done": False, "refused": True, "detail": str(exc)})
            else:
                outcomes.append({"id": one, "done": not self.dry_run, "refused": False, "detail": word.rstrip(":")})
        agreed = "\n".join(f"{word} {outcome['id']}" for outcome in outcomes if not outcome["refused"])
        if agreed or self.as_json:
            self.answer({"jobs": outcomes, "dry_run": self.dry_run}, text=agreed)
        if refusals := [outcome["detail"] for outcome in outcomes if outcome["refused"]]:
            raise Refused("\n         ".join(refusals))
