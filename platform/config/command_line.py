"""What `celery` has loaded for its other commands, and a worker goes without.

Celery's command line loads every command before it looks which one is meant: Flower with its web server, and a prompt with
completion for `celery amqp`. Nobody would miss them, but each worker's processes keep their 9 MiB for ever. Let go of before
Django is loaded, their place is taken by what comes next.
"""

import gc
import sys
import typing
from collections.abc import Sequence

import celery.bin

WITHOUT = {"worker", "beat"}   # the commands that need no other
LIBRARIES = {"flower", "tornado", "humanize", "click_repl", "prompt_toolkit", "wcwidth"}
PROMPT = "amqp"                # the command that brings the prompt


def let_go(arguments: Sequence[str]) -> None:
    """Let go of them if these are the arguments of a worker or beat that `celery` starts; elsewhere nothing is changed.

    Call it before anything else of ours is imported: whoever has one of those libraries already would get a second one at its
    next import.
    """
    line = sys.modules.get("celery.bin.celery")
    if line is None:
        return
    commands = line.celery.commands
    named = commands.keys() & set(arguments)
    if not named or named - WITHOUT:   # as the name of a queue too: rather keep them
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
