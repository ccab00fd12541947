"""Start a process that dies with the one that started it, however that dies; also run as a script, in the child itself.

Trust: Linux sends the signal when the *thread* that started the child ends, so children are started from a main
thread. The request is forgotten when the process changes its user, therefore it is made after that, and then the
parent is looked at once more: one that died before could not have sent anything. A child that is the parent of
others hands the duty on (`die_with_parent` in the forked process).

PostgreSQL refuses to run as root, and the account that stands in for root may not traverse the folders above a
checkout below /root. So the child keeps one capability of root, that of passing by file permissions, and no other.
It works in the folder that it was started in, for which a path of any length, and any name, is right.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 28, 47, 2
CAP_DAC_OVERRIDE, SECBIT_NO_SETUID_FIXUP = 1, 1 << 2
CAPABILITY_VERSION = 0x20080522


def die_with_parent(*, parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent's thread ends; exit at once if it has ended already.

    Elsewhere than on Linux there is no such thing: a killed parent leaves its children there.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(with_signal), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + with_signal)


def become(*, user: int, group: int) -> None:
    """Become an ordinary user for ever, with the one right of root that reaching the checkout may take."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc:   # access(2) too is to know of that right; where root may not ask for this, open folders must do
        libc.prctl(PR_SET_SECUREBITS, ctypes.c_ulong(SECBIT_NO_SETUID_FIXUP), 0, 0, 0)
        libc.prctl(PR_SET_KEEPCAPS, ctypes.c_ulong(1), 0, 0, 0)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if libc:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        for mask in (1 << CAP_DAC_OVERRIDE, 0):   # none where root has not that one either
            if libc.capset(header, (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)) == 0:
                break
        else:
            sys.exit("the rights of root could not be laid down")
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, ctypes.c_ulong(CAP_DAC_OVERRIDE), 0, 0)


def start(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    die_on: int = signal.SIGKILL,
    account: tuple[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that Ctrl-C reaches only whoever stops things in their order."""
    itself = [sys.executable, "-I", "-S", __file__, f"--parent={os.getpid()}", f"--signal={int(die_on)}"]
    if account:
        itself += [f"--user={account[0]}", f"--group={account[1]}"]
    return subprocess.Popen(  # noqa: S603  our own commands
        [*itself, "--", *map(str, command)],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
    )


def main() -> None:
    """Turn this process into the command that follows `--`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--user", type=int)
    parser.add_argument("--group", type=int)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.user is not None:
        become(user=options.user, group=options.group)
    die_with_parent(parent=options.parent, with_signal=options.signal)
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606  that is what this script is for
    except OSError as exc:
        sys.exit(f"{options.command[0]} cannot be started: {exc.strerror}")


if __name__ == "__main__":
    main()
