"""What the locks protect: a fenced account, and beside it an unfenced one that shows what the fence is good for."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

TABLES = (
    "PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, fence INTEGER, value INTEGER, plain INTEGER)",
    "CREATE TABLE IF NOT EXISTS accepted (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, fence INTEGER, kind TEXT)",
)


@dataclass(frozen=True, slots=True)
class Balance:
    value: int
    plain: int


class Account:
    """One account a lock, in one file that all processes share.

    Each step is one short transaction: a process that is stopped in the middle of one would stop all others.
    """

    def __init__(self, folder: Path) -> None:
        self.database = sqlite3.connect(folder / "account.db", timeout=60, isolation_level=None)
        for statement in TABLES:
            self.database.execute(statement)

    def begin(self, name: str, token: int) -> Balance | None:
        """Raise the fence before reading, so that an older holder writes no more; None when a newer one did that already."""
        self.database.execute("INSERT OR IGNORE INTO account VALUES (?, 0, 0, 0)", (name,))
        raised = self.database.execute("UPDATE account SET fence = ?2 WHERE name = ?1 AND fence <= ?2", (name, token))
        if not raised.rowcount:
            return None
        return Balance(*self.database.execute("SELECT value, plain FROM account WHERE name = ?", (name,)).fetchone())

    def write(self, name: str, token: int, balance: Balance) -> bool:
        """Write what was reckoned from `begin()`; tell whether the fence let it in. The unfenced account takes anything."""
        self.database.execute("BEGIN IMMEDIATE")
        fenced = self.database.execute("UPDATE account SET fence = ?2, value = ?3 WHERE name = ?1 AND fence <= ?2", (name, token, balance.value))
        won = fenced.rowcount == 1
        self.database.execute("UPDATE account SET plain = ? WHERE name = ?", (balance.plain, name))
        kinds = ["plain", *["fenced"] * won]
        self.database.executemany("INSERT INTO accepted (name, fence, kind) VALUES (?, ?, ?)", [(name, token, kind) for kind in kinds])
        self.database.execute("COMMIT")
        return won

    def violations(self) -> list[str]:
        """Return where the fenced account took a lower token, or lost an update."""
        found = []
        for name, value in self.database.execute("SELECT name, value FROM account").fetchall():
            tokens = [token for (token,) in self._accepted(name, "fenced")]
            if tokens != sorted(tokens):
                found.append(f"{name}: a lower token was accepted")
            if value != len(tokens):
                found.append(f"{name}: {len(tokens) - value} updates of the fenced account were lost")
        return found

    def lost_without_fence(self) -> int:
        """Return how many updates the unfenced account has lost."""
        accounts = self.database.execute("SELECT name, plain FROM account").fetchall()
        return sum(len(self._accepted(name, "plain")) - plain for name, plain in accounts)

    def _accepted(self, name: str, kind: str) -> list[tuple[int]]:
        return self.database.execute("SELECT fence FROM accepted WHERE name = ? AND kind = ? ORDER BY seq", (name, kind)).fetchall()

    def close(self) -> None:
        self.database.close()
