"""Which process it is that a row names: host, pid and start time together, for a pid alone is soon another's."""

from __future__ import annotations

import hashlib
import socket
import sys
from functools import cache
from pathlib import Path

import psutil

SAME_START_S = 2.0


@cache
def host() -> str:
    """This host's name with a few digits of what tells it from others of that name.

    Two machines or containers may have one name, and must not take each other's processes for dead.
    """
    marks = [_read("/etc/machine-id"), _namespace()]
    return f"{socket.gethostname()}/{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:8]}"


@cache
def start_of(pid: int) -> float:
    """When a living process of this host started, on a clock that nobody sets.

    Raises:
        psutil.Error: There is no such process, or it is not ours to look at.
    """
    return _start(psutil.Process(pid))


def dead(pid: int, started_at: float) -> bool:
    """Whether that process of this host is known to be gone."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(_start(process) - started_at) >= SAME_START_S
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False  # it exists and is not ours to look at


def _start(process: psutil.Process) -> float:
    # Linux keeps a start as time since boot: what is added to make it a date moves when the clock is set.
    boot = psutil.boot_time() if sys.platform == "linux" else 0.0
    return float(process.create_time() - boot)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
