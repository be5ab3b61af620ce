"""A program that turns itself into an engine's server, and makes it die with the process that asked for it.

Run as a file, with the asking process's id and the command behind it. Linux kills the engine when its parent ends,
however it ends; elsewhere an orderly end of the parent is needed. It imports nothing of this distribution, so that
it starts in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
ORPHANED, NOT_FOUND = 125, 127


def main(parent: int, command: list[str]) -> int:
    """Become `command`; return an exit code only when that cannot be."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above: nobody will tell us
            return ORPHANED
    try:
        os.execvp(command[0], command)  # noqa: S606  (the operator's own command, without a shell)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
