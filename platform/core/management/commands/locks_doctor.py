from typing import Any

from core.locking import doctor
from core.management.output import PlatformCommand, Refused, printable


class Command(PlatformCommand):
    help = (
        "Look at the store of the locks: whether it is as it must be, and how long a lock takes; each finding has its remedy. "
        "Exits with 1 when something is wrong."
    )

    def act(self, **_: Any) -> None:
        found = doctor.examine()
        lines = [f"{finding.weight}: {finding.what}.\n  {finding.remedy}" for finding in found.findings]
        lines += [printable(fact) for fact in found.facts]
        facts = {
            "store": found.store, "findings": [
                {"weight": str(each.weight), "what": each.what, "remedy": each.remedy} for each in found.findings
            ], "facts": found.facts, "usable": found.usable,
        }
        self.answer(facts, text="\n".join([f"store: {found.store}", *lines, *([] if found.findings else ["nothing to complain of"])]))
        if not found.usable:
            raise Refused("the store of the locks is not as it must be")
