"""Processes that are nodes: started detached, found by the tags in their environment, ended for certain.

A node's processes carry the tags until they end, and so do their children, so nodes are found also when their
folder and every record are lost. A process is always held as a ``psutil.Process``, which knows it by pid and
start time together: a signal never reaches another one that got the pid later.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NODE_TAG = "CONDUIT_NODE"
OWNER_TAG = "CONDUIT_OWNER"
HOME_TAG = "CONDUIT_NODE_HOME"
DEPLOYMENT_TAG = "CONDUIT_NODE_DEPLOYMENT"
PROJECT_TAG = "CONDUIT_NODE_PROJECT"
EXPIRES_TAG = "CONDUIT_EXPIRES_AT"
_TAGS = (NODE_TAG, OWNER_TAG, HOME_TAG, DEPLOYMENT_TAG, PROJECT_TAG)

# A server needs neither Conduit's database URL nor the keys of other services.
_KEPT_BACK = ("CONDUIT_", "PREFECT_", "RUNPOD_")
_POLL_S = 0.05


@dataclass(frozen=True)
class NodeProcesses:
    """The living processes of one node.

    Attributes:
        tags: The tags, by name.
        root: The process that was started; its children follow in ``all``.
    """

    tags: Mapping[str, str]
    root: psutil.Process
    all: tuple[psutil.Process, ...]


def start(
    command: Sequence[str],
    *,
    tags: Mapping[str, str],
    secrets: Mapping[str, str],
    folder: Path,
    log: BinaryIO,
    on_exit: Callable[[int], None],
) -> psutil.Process:
    """Starts a process in a session of its own, so that neither a closed terminal nor Ctrl-C ends it.

    Args:
        command: Argument list.
        tags: By which the process is found again.
        secrets: More environment; never written anywhere.
        folder: Where it runs.
        log: Where its output goes.
        on_exit: Called with the exit code, in another thread, if this process still lives by then.

    Raises:
        OSError: It cannot be started.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_KEPT_BACK)}
    if paths := environment.get("PYTHONPATH"):
        # It runs in another folder, where relative entries would mean something else.
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(p).absolute()) for p in paths.split(os.pathsep))
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**environment, **tags, **secrets},
        start_new_session=True,
    )
    # Taken before anyone can reap the child: from here on the pid is known to be the child's.
    process = psutil.Process(child.pid)
    # Somebody must reap the child, or it stays a zombie for as long as this process lives.
    threading.Thread(
        target=lambda: on_exit(child.wait()), name=f"conduit-reap-{child.pid}", daemon=True
    ).start()
    return process


def find(is_wanted: Callable[[psutil.Process, Mapping[str, str]], bool]) -> list[NodeProcesses]:
    """The nodes among all processes of this machine whose tags are wanted."""
    groups: dict[str, list[tuple[psutil.Process, dict[str, str]]]] = {}
    # Not process_iter: it keeps objects, and one kept from an earlier owner of a pid cannot be signalled.
    for pid in psutil.pids():
        process, tags = _look(pid)
        if process is not None and is_wanted(process, tags):
            groups.setdefault(tags[NODE_TAG], []).append((process, tags))
    found = []
    for members in groups.values():
        by_age = sorted(members, key=lambda member: _age_key(member[0]))
        found.append(NodeProcesses(by_age[0][1], by_age[0][0], tuple(process for process, _ in by_age)))
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether it is that very process still, and more than an unreaped remnant."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def shares_files(process: psutil.Process) -> bool:
    """Whether a path means the same to that process as to this one; not so in a container."""
    if sys.platform != "linux":
        return True
    try:
        own = Path("/proc/self/ns/mnt").stat().st_ino
        return Path(f"/proc/{process.pid}/ns/mnt").stat().st_ino == own
    except OSError:
        return False


def end(look: Callable[[], NodeProcesses | None], *, term_wait_s: float, kill_wait_s: float) -> bool:
    """Ends a node: SIGTERM to its root, a bounded wait, SIGKILL to all, and a last look.

    Args:
        look: Finds the node's processes anew.
        term_wait_s: How long it may take to end by itself.
        kill_wait_s: How long the system may take to remove it.

    Returns:
        Whether the last look found nothing.
    """
    node = look()
    if node is None:
        return True
    _signal([node.root], signal.SIGTERM)
    _wait(node.all, term_wait_s)
    deadline = time.monotonic() + kill_wait_s
    # A node may have started more processes meanwhile, so each round looks again.
    while (node := look()) is not None:
        _signal(node.all, signal.SIGKILL)
        _wait(node.all, min(1.0, kill_wait_s))
        if time.monotonic() > deadline:
            return look() is None
    return True


def _look(pid: int) -> tuple[psutil.Process | None, dict[str, str]]:
    """The process, if it is a living one of a node, and its tags."""
    try:
        process = psutil.Process(pid)
        environment = process.environ()
        tags = {name: environment[name] for name in _TAGS if name in environment}
        if NODE_TAG in tags and process.status() != psutil.STATUS_ZOMBIE:
            return process, tags
    except (psutil.Error, OSError):
        pass  # gone by now, or another user's
    return None, {}


def _age_key(process: psutil.Process) -> tuple[float, int]:
    try:
        return process.create_time(), process.pid
    except psutil.Error:
        return float("inf"), process.pid


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue  # it ended first


def _wait(processes: Iterable[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(is_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
