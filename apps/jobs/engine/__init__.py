"""What runs inside an ordinary Celery worker.

Three threads of control, and who may touch what::

    loop thread        Celery's own: tickets, the stock of claimed rows, hand-over, endings    bookkeeper, stock, request, attempt
    database thread    one connection: settle, heartbeat, roll call, fetch, in one commit      ledger
    pool               the handler, in a child process or a thread                             poolside, runner, context

The loop thread puts work into the ledger's queues; the ledger's answers come back by `hub.call_soon`. A pool task
returns what became of the attempt as data. Shared memory (`board`) tells a child that its job was cancelled or lost,
and until when the worker's lease may be trusted.

A job for a moment is claimed shortly before it, so that it can begin at it. The claim says how long it was too early
by the database's clock; the bookkeeper holds it back for most of that, and the pool task for the rest.

While the broker is away a thread of its own tries to reach it, and the loop thread turns a loop beside it (`away`).

Short jobs of one type go to the pool several at a time. There the child tells in shared memory (`tray`) which job it
begins and how each one ended, so that its death loses no end, charges the one job that ran, and gives the others back.

Trust. A claim is ours from the commit of its fetch until an answer says otherwise. Before a hand-over and again in the
child, the lease's deadline is compared on a clock that counts suspend, so that a thawed worker starts nothing stale;
what it finishes late is refused by the row's fence. A worker that was declared dead begins another life under another
row, with a lease that covers nothing that an earlier life has claimed: each claim says of which life it is. A commit whose
reply was lost is neither: the same batch is sent again, which its statements allow, and the roll call finds what the lost one claimed.
"""
