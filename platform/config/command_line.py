"""What `celery` has loaded for its other commands, and a worker goes without.

Celery's command line loads every command before it looks which one is meant: Flower with its web server, and a prompt with
completion for `celery amqp`. Nobody would miss them, but each worker's processes keep their 9 MiB for ever. Let go of before
Django is loaded, their place is taken by what comes next.
"""

import gc
import sys
import typing
from collections.abc import Sequence
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import celery.bin

WITHOUT = {"worker", "beat"}   # the commands that need no other
LIBRARIES = {"flower", "tornado", "humanize", "click_repl", "prompt_toolkit", "wcwidth"}
PROMPT = "amqp"                # the command that brings the prompt
_THEIRS = LIBRARIES | {"celery"}
_NAMED = (type, FunctionType, BuiltinFunctionType, type(lru_cache(len)))   # what says itself where it comes from


def let_go(arguments: Sequence[str]) -> None:
    """Let go of them if these are the arguments of a worker or beat that `celery` starts; elsewhere nothing is changed.

    Nothing is let go of that anybody else has already, as an application of one's own that was imported before: it would get a
    second one at its next import.
    """
    line = sys.modules.get("celery.bin.celery")
    if line is None:
        return
    commands = line.celery.commands
    named = commands.keys() & set(arguments)
    if not named or named - WITHOUT or _somebody_else_has_them():   # named as a queue's too: rather keep them
        return
    for name in ("flower", PROMPT):
        commands.pop(name, None)
    for module in (line, celery.bin):
        vars(module).pop(PROMPT, None)
    for name in [name for name in sys.modules if name == f"celery.bin.{PROMPT}" or name.split(".")[0] in LIBRARIES]:
        del sys.modules[name]
    typing.clear_overloads()
    for clear in getattr(typing, "_cleanups", ()):   # it keeps the last generic types that anybody made
        clear()
    gc.collect()


def _somebody_else_has_them() -> bool:
    return any(
        _origin(value).split(".")[0] in LIBRARIES
        for name, module in tuple(sys.modules.items()) if module is not None and name.split(".")[0] not in _THEIRS
        for value in tuple(getattr(module, "__dict__", {}).values())
    )


def _origin(value: Any) -> str:
    """Return the name of the module that something is or comes from, by its type alone: a proxy would load what it stands for."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        return str(value.__name__)
    return str(value.__module__ if issubclass(kind, _NAMED) else kind.__module__)
