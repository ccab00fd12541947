"""What a worker's main process and its children share, and what a child is spared, for the memory of each counts."""

import ctypes
import gc
import sys
from typing import Any

from celery import platforms, signals

from core.locking.metrics import OBSERVER

OLDEST_THRESHOLD = 1   # collections of the middle generation between two full ones, which have little to look at
PR_SET_PDEATHSIG = 1


def install() -> None:
    """Prepare the forks of this process. Call it before the pool is made."""
    signals.worker_before_create_process.connect(keep_shared)
    signals.worker_process_init.connect(count_no_locks)
    platforms._set_pdeathsig = die_with_main  # noqa: SLF001  contract test


def keep_shared(**_: Any) -> None:
    """Before the first fork: let no garbage collection touch what is there, or each child copies nearly all of it.

    Garbage in circles, as handlers and libraries leave it, Python collects when a quarter as much has come together as the last
    full collection left, which by default would be some thousand jobs in each worker; without the frozen ones that is soon.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.collect()   # leaves nothing, so that the next ones are no longer put off
        gc.set_threshold(*gc.get_threshold()[:2], OLDEST_THRESHOLD)


def count_no_locks(**_: Any) -> None:
    """In a child: nobody reads its counts, and a thread of the main process may have held what guards them at the fork."""
    OBSERVER.silent = True


def die_with_main(signal: int) -> None:
    """In a child: be sent a signal when the main process ends. billiard's own reads C for that, with a parser of 3 MiB."""
    if sys.platform != "linux":
        raise OSError
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0)
