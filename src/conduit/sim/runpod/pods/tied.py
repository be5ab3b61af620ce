"""Runs a command that ends when its parent does. Started by path, with nothing of Conduit: it must be quick.

Linux tells the kernel to kill this process when its parent dies, in whatever way; the order holds over ``exec``.
Elsewhere only a simulator that ends in good order takes its pods along.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ties this process to its parent and becomes the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)  # it died before the order was given
    os.execvp(command[0], command)  # noqa: S606 - the command is the simulator's own


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
