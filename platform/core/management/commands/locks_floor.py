from argparse import ArgumentParser
from typing import Any

from core import audit, clock
from core.locking import releasing
from core.management.arguments import number, said
from core.management.output import MutatingCommand, NotUnderstood

MOST = 2**63 - 1
AHEAD_SECONDS = 3600   # more than anybody's clock is wrong by: above all tokens that were granted until now


class Command(MutatingCommand):
    help = (
        "Show the floor of the tokens, or raise it after a restore and when locks move to another store: "
        "rows that are made from then on start above it."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--raise", nargs="?", dest="wanted", metavar="TOKEN", type=number(1, MOST), const=0,
            help="to this token, or to one an hour ahead of now; never lowered",
        )
        parser.add_argument("--reason", type=said, help="kept in the history of the locks and the audit")

    def perform(self, **options: Any) -> None:
        if options["wanted"] is None:
            self.act(**options)   # to look is allowed while nothing may be changed
            return
        super().perform(**options)

    def act(self, *, wanted: int | None, reason: str | None, **_: Any) -> None:
        before = releasing.floor()
        if wanted is None:
            self.answer({"floor": before}, text=str(before))
            return
        if not reason:
            raise NotUnderstood("--raise needs --reason: it stays in the audit")
        wanted = wanted or int((clock.now().timestamp() + AHEAD_SECONDS) * 1_000_000)
        if self.dry_run:
            after = max(before, wanted)
        else:
            with audit.because(reason):
                after = releasing.raise_floor(wanted, reason=reason)
        verb = "would raise" if self.dry_run else "raised"
        text = f"{verb} the floor from {before} to {after}" if after > before else f"the floor is {before} already"
        self.answer({"before": before, "floor": after, "dry_run": self.dry_run}, text=text)
        self.note("Rows that exist keep their token. After a restore: let the longest lease pass before work begins.")
