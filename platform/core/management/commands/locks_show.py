from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from core.locking import looking
from core.management.arguments import number
from core.management.output import PlatformCommand, age, listing, table

COLUMNS = {"at": "AT", "event": "EVENT", "token": "TOKEN", "actor": "BY", "reason": "WHY"}


class Command(PlatformCommand):
    help = "Show a lock: its token, who has it since when, who waits, and what was done to it out of the ordinary."

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="as locks_list shows it")
        parser.add_argument("--history", type=number(1, 1000), default=looking.HISTORY, metavar="N", help="entries; default: 50")

    def act(self, *, name: str, history: int, **_: Any) -> None:
        found = asdict(looking.one(name))
        events = [
            {"at": each.at, "event": each.kind, "token": each.token, "actor": each.actor, "reason": each.reason}
            for each in looking.history(name, limit=history)
        ]
        lines = {
            "name": found["name"], "state": found["state"], "token": found["token"], "holder": found["holder"],
            "since": found["since"], "held for": age(found["age_seconds"]) if found["holder"] else None,
            "lease": age(found["lease_seconds"]) if found["holder"] else None, "renewals": found["renewals"],
            "waiters": found["waiters"],
        }
        text = listing(lines)
        if events:
            text += "\n\n" + table(events, columns=COLUMNS)
        self.answer({**found, "history": events}, text=text)
