from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from core import audit
from core.locking import releasing
from core.management.arguments import number, said
from core.management.output import MutatingCommand

MOST = 2**63 - 1


class Command(MutatingCommand):
    help = "End the grant of a lock: whoever has it is refused from then on by all that compare tokens, and told."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="as locks_list shows it")
        parser.add_argument("--reason", required=True, type=said, help="kept in the lock's history and the audit")
        parser.add_argument(
            "--token", type=number(1, MOST), help="the one that you saw: a later grant is not touched. "
            "Without it the present grant is ended, whoever has it; a script that may repeat itself has to name it",
        )

    def act(self, *, name: str, reason: str, token: int | None, **_: Any) -> None:
        seen = releasing.foresee(name, token)
        who = f"{name} with token {seen.token}, which {seen.holder} has"
        if self.dry_run:
            self.answer({**asdict(seen), "released": False, "dry_run": True}, text=f"would release {who}")
            return
        with audit.because(reason):
            now = releasing.release(name, token=seen.token, reason=reason)
        text = f"released {who.removesuffix(' has')} had; its token is {now.token} now"
        self.answer({**asdict(now), "released": True, "released_token": seen.token, "dry_run": False}, text=text)
