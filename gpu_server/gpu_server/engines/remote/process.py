"""An engine's own server as a process: started in a group of its own, watched, ended with all that it started.

It never outlives this process (see `launcher`), and never learns our token. What it writes goes to its log file, or
to our stderr when there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from gpu_server.engines.base import LoadError
from gpu_server.settings import TOKEN_VARIABLE

TERM_S = 3.0
KILL_S = 2.0
_LAUNCHER = Path(__file__).with_name("launcher.py")
_TAIL_LINES = 15
_TAIL_BYTES = 16_384


class EngineProcess:
    """One run of the engine's program.

    Args:
        command: The program and its arguments.
        environment: Variables beside our own.
        log: Where its output goes; None is our stderr.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._command = list(command)
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
            **(environment or {}),
        }
        self._log = log
        self._log_begins = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; whether it comes up is for the caller to find out.

        Raises:
            LoadError: The log file cannot be written.
        """
        try:
            with contextlib.ExitStack() as stack:
                output = None
                if self._log is not None:
                    self._log.parent.mkdir(parents=True, exist_ok=True)
                    output = stack.enter_context(self._log.open("ab"))
                    self._log_begins = output.tell()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    str(_LAUNCHER),
                    str(os.getpid()),
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output if output is not None else sys.stderr.fileno(),
                    stderr=output if output is not None else sys.stderr.fileno(),
                    env=self._environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise LoadError(f"cannot start {self._command[0]}: {error}") from error

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def ended(self) -> str:
        """Wait for its end and tell how it ended."""
        assert self._process is not None
        code = await self._process.wait()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"the engine's process was ended by {signal.Signals(-code).name}"
        return f"the engine's process ended with code {code}"

    def last_lines(self) -> str:
        """Return the end of its log, for the operator; empty when it went to our stderr."""
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_begins, size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    async def close(self) -> None:
        """End it and everything that it started: TERM first, KILL for what is left after a few seconds."""
        process = self._process
        if process is None:
            return
        family = _started_by(process.pid)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), TERM_S)
        family |= _started_by(process.pid)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        _kill(family)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what was orphaned inside its group
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), KILL_S)
        await asyncio.to_thread(psutil.wait_procs, family, KILL_S)  # the dying still hold memory


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started_by(pid: int) -> set[psutil.Process]:
    """Return all that the process started, as far as they are alive."""
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def _kill(family: set[psutil.Process]) -> None:
    for process in family:
        with contextlib.suppress(
            psutil.Error
        ):  # psutil compares start times: no other process of that number
            process.kill()
