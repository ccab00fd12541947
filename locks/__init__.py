"""Named locks with fencing tokens that no stale holder can outlive.

::

    from locks import Locks, LockHeld, open_store

    locks = Locks(open_store("cassandra://10.0.0.1,10.0.0.2/locks"))      # or postgresql://… or memory://
    try:
        with locks.acquire("payment:7", lease=timedelta(seconds=30), timeout=timedelta(seconds=10)) as lease:
            charge(order, token=lease.token)          # whatever is written carries the token, and refuses lower ones
            lease.check(timedelta(seconds=5))         # before what cannot refuse
            print_receipt(order)
    except LockHeld as held:
        print(held)                                   # who has it, since when, and when it is free at the latest

Each grant of a name has a token greater than all before it, for ever. Uncontended, acquiring is one conditional statement,
and so are renewing and releasing. Nobody's wall clock decides anything. An outcome that is not known is asked for again
until it is, and never guessed.

What it cannot promise
----------------------
In an asynchronous network no lock service guarantees mutual exclusion: a holder may be paused between looking at its lease
and writing, for longer than the lease. Use the token: what refuses lower tokens is safe whatever happens. Where nothing can
refuse, `check()` narrows the gap to the time between it and the effect, and closes it never.

Model
-----
A store keeps one row a lock (`row`), and changes it by conditional operations only (`changes`), each at one instant
(`store`): Paxos in Cassandra, a row lock in PostgreSQL, a guard in memory. `(state, fence, hb, nonce)` is the exact version
of a row: no two contents of a name ever have the same. `fence` is the token of the latest grant and never falls; `hb` counts
the renewals of this grant; `nonce` names the call that made it, which is how a caller recognises its own late success.

States (who moves a row on)
    NEW      just created; its token is not compared with the floor yet. Whoever meets it reads the floor and acquires.
    FREE     nobody has it. An acquire takes it, a purge retires it.
    HELD     its holder releases it, an observer takes it over or frees it, an operator ends it.
    RETIRED  being purged. Whoever meets it raises the floor to its token and deletes the row.

Acquire, without reading before: IF free and the row's token is lower than mine. A refusal shows the whole row, and so is the
observation on which the next, exact question rests: IF the version is still this one (`acquiring`, `judging`). A lock's row
is made once in its life; a process that lately met none but new names makes it at once, instead of asking in vain before.

Tokens are `max(seen + 1, microseconds since 1970)` (`tokens`), so that one guess without reading is nearly always high
enough, and they go on rising in another store. The store compares them: a slow clock costs a second question, a fast one
leaves numbers out. Deleting a row keeps its token in the namespace's floor; a row is made in state NEW, and the floor is read
*after* that: what was purged before the creation had raised it by then (`purging`).

Trust window
------------
Clocks are trusted for their rate alone, within one per cent (`trust`). The holder counts from the moment *before* it sent
the question that won, and stops a margin before its lease is over, on a clock that goes on during suspend. An observer counts
from the moment *after* it saw a version for the first time, and takes over when it has seen the same one for a whole lease
and more; its statement is conditional on exactly that version, so that it loses against any renewal (`sights`). Hence::

    holder:    sent ──────────────── trusted ─────────────┤ margin
    store:        applied
    observer:              seen ───────────────── a whole lease, and patience ──────┤ take over

The lease renews itself at a third (`renewal`). A renewal whose outcome is unknown moves no deadline, and when its success is
known at last, it counts from the first copy that was sent. `on_danger` is called at two thirds, `on_lost` at the deadline at
the latest, by a thread that never waits for a store. A lease that is over stays over, even if the store says later that it
was renewed. Give a lease several times the length of an attempt and of the longest pause that you want to survive.

Waiting is looking: a cheap reading that disturbs nobody; what it shows may be old, and then the change that rests on it is
refused. Pauses grow while nothing moves, and shrink with each grant that passes a waiter by (`pace`): nobody is served in
order, but who waits longest looks most often. All threads of a process share what they have seen; a `Reaper`
watches for everybody, so that who comes new to a dead holder's lock need not wait a whole lease.

Unknown outcomes
----------------
A change has four answers (`answers`): applied, refused (with the row), certainly not done, unknown. An unknown one is asked
again word by word, with the same nonce, by the next replica (`asking`). That is conclusive where reading is not: after a
reading that shows nothing a late copy may still take effect; after a repetition was answered, the version that the late copy
needs is gone. A refusal that shows my own nonce is my own earlier copy. When the caller's time is over first, it is told
`LockUnknown` (a `LockStoreUnavailable`: the store could not say), and a canceller goes on asking in the background and gives back what had been won (`canceller`).

One tail remains: a first, cold question (IF free and lower) that was unknown, and then refused because another holds, could
still take effect when that one releases. So its caller is told `LockUnknown` too, and the canceller looks after the row until
its token has passed the question's. Exact questions, all but the first, have no tail.

What fails how
--------------
    the store is away           `LockStoreUnavailable` within the caller's timeout, for a question that was under way in its
                                form `LockUnknown`; leases end at their deadlines, `on_lost` says so before others can take
                                over; afterwards everything goes on without a restart
    a reply is lost             asked again; the caller waits a little longer, or is told `LockUnknown`
    a request is late           its version is gone: it does nothing
    a holder dies               taken over after its lease, counted from when somebody first looked
    a holder is paused          its `check()` fails when it wakes; what it writes is refused by its token
    a holder is partitioned     it is told before its lease ends, and stops
    a clock jumps               nothing; a wrong wall clock costs a question now and then
    a clock runs wrong by 1 %   covered; by more, only the token protects
    a machine sleeps            the holder's clock goes on during suspend; a hypervisor that stops it leaves only the token
    a process forks             the parent keeps its leases; the child makes connections of its own
    an operator frees a lock    by the token that was seen, so never from the next holder; the token rises at once;
                                recorded before and after, with the reason
    a store is restored         what was granted after the backup is forgotten: raise the floor, purge, wait a lease

Parts
-----
`Locks` acquires, inspects, lists, ends and purges. `Semaphore`, `Leadership` (the term is the token) and `Reentrant` are made
of it, `AsyncLocks` is the same for asyncio. An `Observer` is told what happens: metrics and logs are its business.
`locks.testing` has the contract of stores, clocks, bad networks, and a checker of histories for tests of your own.
"""

from locks.aio import AsyncLease, AsyncLocks
from locks.errors import LockError, LockHeld, LockLost, LockStoreUnavailable, LockUnknown, NotGranted
from locks.forcing import Forced
from locks.leadership import Leadership, NotLeader
from locks.lease import Ending, Lease
from locks.locks import Listed, Locks, Page
from locks.observer import Observer
from locks.purging import Purged
from locks.reaper import Reaper, ReaperConfig
from locks.reentrancy import Reentrant
from locks.row import Row, State
from locks.semaphore import Semaphore
from locks.store import Store
from locks.stores.opening import create_schema, open_store
from locks.trust import Trust

__all__ = [
    "AsyncLease", "AsyncLocks", "Ending", "Forced", "Leadership", "Lease", "Listed", "LockError", "LockHeld", "LockLost",
    "LockStoreUnavailable", "LockUnknown", "Locks", "NotGranted", "NotLeader", "Observer", "Page", "Purged", "Reaper",
    "ReaperConfig", "Reentrant", "Row", "Semaphore", "State", "Store", "Trust", "create_schema", "open_store",
]
