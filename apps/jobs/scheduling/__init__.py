"""What decides when: the dispatcher, who takes its place, and beat.

A dispatcher has four duties, each with its own budget: it takes back what silent workers held, moves rows whose time
has come, rings for rows that nobody came for, and gives keys of locks a head where a race has left none. Beat is the dispatcher of a fleet and signs life each second; when
that sign is older than three seconds, each worker's understudy does the duties until beat signs again.

Trust: none is needed between dispatchers. Any number may run, because all their SQL skips what another one holds and
names the state that it expects; there is no leader, so nothing waits for one.

Failure: a dispatcher has no state that matters. What it moved and did not ring for is rung for a second later by
whoever looks; a statement that a stalled database executes late rescues nobody; and after any gap in what it sees of
the database, rescues wait until the workers had the time to renew.
"""
