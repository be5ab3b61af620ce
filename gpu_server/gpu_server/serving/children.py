"""What the processes below this one use: memory, CPU time, file descriptors. From `/proc`, so on Linux only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PARENT, _USER_TIME, _SYSTEM_TIME, _RESIDENT_PAGES = 1, 11, 12, 21  # places after the name in parentheses


@dataclass(frozen=True, slots=True)
class Children:
    """All living descendants together."""

    processes: int = 0
    resident_bytes: int = 0
    cpu_s: float = 0.0
    open_fds: int = 0


def children() -> Children | None:
    """Return what all descendants of this process use; None where the kernel does not tell."""
    if not (_PROC / "self/stat").exists():
        return None
    entries = (entry for entry in _PROC.iterdir() if entry.name.isdigit())
    facts = {int(entry.name): fields for entry in entries if (fields := _stat(entry))}
    family = {os.getpid()}
    while grown := {pid for pid, fields in facts.items() if int(fields[_PARENT]) in family} - family:
        family |= grown
    below = [facts[pid] for pid in family - {os.getpid()}]
    return Children(
        processes=len(below),
        resident_bytes=sum(int(fields[_RESIDENT_PAGES]) for fields in below) * os.sysconf("SC_PAGE_SIZE"),
        cpu_s=sum(int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME]) for fields in below)
        / os.sysconf("SC_CLK_TCK"),
        open_fds=sum(_open_fds(pid) for pid in family - {os.getpid()}),
    )


def _stat(entry: Path) -> list[str] | None:
    """Return the fields of `/proc/PID/stat` from the state on; None when the process has just gone."""
    try:
        text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _open_fds(pid: int) -> int:
    try:
        return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return 0
