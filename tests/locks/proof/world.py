"""What the model consists of: the world, its clients, how much may happen in it, and which rules it keeps."""

from dataclasses import dataclass, field

from locks.changes import Change
from locks.row import Row, State, Version

UNUSED = Row(state=State.FREE, fence=0, hb=0, nonce=0, owner="o", lease_ms=1, since_ms=0)


@dataclass(frozen=True)
class Design:
    """Ours, or ours with one rule missing."""

    exact_only: bool = False              # read first, then acquire from exactly what was read
    token_guard: bool = True              # IF fence < :t
    wait_for_expiry: bool = True          # take over only what was seen for a whole lease
    late_answers_renewed: bool = True     # trust a grant whose time is over only after a renewal
    unknown_renewal_trusted: bool = False
    unknown_read_and_forgotten: bool = False
    floor_before_burial: bool = True
    floor_after_row: bool = True          # read the floor after the row was seen in state NEW
    force_names_token: bool = True
    late_copies_reckoned_with: bool = True    # while a cold copy could still apply, "not held" is told as unknown


@dataclass(frozen=True)
class Client:
    """What a client knows. `doing` is the state of its program; `change` is what it waits for an answer to."""

    doing: str = "idle"
    left: int = 0                          # operations it may still begin
    number: int = 0                        # of the operation; with the client's own it makes the nonce
    change: Change | None = None
    sent: frozenset[int] = frozenset()
    above: int = 0
    seen: Row | None = None
    version: Version | None = None         # what its trust rests on
    repeats: int = 0
    late: int = 0                          # the highest token of a cold question that was refused in doubt
    known: int = 0                         # the highest token that it saw the row with


@dataclass(frozen=True)
class World:
    row: Row | None
    floor: int
    highest: int                           # the highest token ever granted
    expired: frozenset[Version]
    flying: tuple[tuple[int, Change], ...]
    clients: tuple[Client, ...]
    told: frozenset[int]                   # calls that were told "not held"
    forced: frozenset[int]                 # tokens that an operator has ended
    fault: str = ""


@dataclass(frozen=True)
class Scenario:
    """How much may happen. Roles: `lock` acquires and releases, `purge` purges once, `force` ends one grant."""

    roles: tuple[str, ...] = ("lock", "lock")
    operations: int = 1
    copies: int = 2                        # under way at a time
    repeats: int = 1                       # of one question
    guesses: tuple[int, ...] = (1, 2)      # how far above what it knows a client may guess
    largest: int = 4                       # token
    renewals: int = 1
    row: Row | None = UNUSED
    strangers: bool = False                # a call may begin by making the lock, whether there is one or not


@dataclass
class Found:
    """What the exploration saw."""

    states: int = 0
    ghosts: int = 0                        # states in which the holder was told that it is not
    grants: int = 0
    faults: set[str] = field(default_factory=set)
