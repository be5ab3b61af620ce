"""The program: orders on standard input, answers on standard output, until the input ends.

What libraries print goes to standard error: standard output belongs to the frames.
"""

from __future__ import annotations

import os
import sys

from gpu_server.engines.embedded.frames import Frames, NoFrame
from gpu_server.engines.embedded.host import Host

EXIT_NO_FRAME = 2
_READ_BYTES = 1024 * 1024


def main() -> int:
    """Serve until the server closes the pipe, or is gone."""
    _end_with_parent()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    host, frames = Host(answers), Frames()
    while data := os.read(sys.stdin.fileno(), _READ_BYTES):
        try:
            for message in frames.feed(data):
                host.take(message)
        except NoFrame as error:
            sys.stderr.write(f"the engine's process ends: {error}\n")
            return EXIT_NO_FRAME
        host.flush()
    return 0


def _end_with_parent() -> None:
    """Have the kernel end us with our parent: while weights are read, no thread here can see the pipe close."""
    if sys.platform != "linux":
        return
    import ctypes
    import signal

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads are inside the engine; nothing here needs their end
