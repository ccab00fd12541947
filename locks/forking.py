"""What must not be inherited by a forked child: guards that a thread held, threads, connections."""

import os
import weakref
from typing import Protocol


class Forgetful(Protocol):
    """Something that begins anew in a child."""

    def forget(self) -> None:
        """Drop what belongs to the parent, without touching it: its threads do not exist here."""


_all: "weakref.WeakSet[Forgetful]" = weakref.WeakSet()


def remember_to_forget(something: Forgetful) -> None:
    """Have `forget` called in every child that is forked from now on, as long as anybody keeps the object."""
    _all.add(something)


def _in_child() -> None:
    for something in list(_all):
        something.forget()


os.register_at_fork(after_in_child=_in_child)
