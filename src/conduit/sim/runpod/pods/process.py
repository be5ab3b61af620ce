"""The process of one pod: started in a group of its own, tied to the simulator, ended for certain."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from conduit.sim.runpod.pods import tied

# A pod has its own environment: nothing of the simulator's user but what a program needs to run.
_KEPT_BACK = ("CONDUIT_", "PREFECT_", "RUNPOD_", "GPU_SERVER_", "HF_")
_POLL_S = 0.05


class PodProcess:
    """A process and those that it starts."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, log: Path, announce: Path) -> None:
        """Starts it.

        Must be called in the simulator's main thread: the tie is to the thread that starts it.

        Args:
            command: What is run.
            env: The pod's environment.
            log: Where its output is added.
            announce: Where a server tells its port.

        Raises:
            OSError: It cannot be started.
        """
        self._announce = announce
        announce.unlink(missing_ok=True)
        own = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_BACK)}
        passed = {name: value for name, value in env.items() if name and not set(name + value) & {"\0"}}
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", tied.__file__, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**own, **{name: value for name, value in passed.items() if "=" not in name}},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Also the id of its group."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it lives; what it started ends with it."""
        if self._child.returncode is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                # Until it is reaped, its group's id can be nobody else's.
                self._signal(signal.SIGKILL)
                self._child.wait()
        return self._child.returncode

    def port(self) -> int | None:
        """Where its server listens, once it has said so."""
        try:
            return int(json.loads(self._announce.read_text())["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    async def wait(self) -> int:
        """Returns its exit code when it has ended."""
        while (code := self.exit_code) is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_POLL_S)
        return code

    async def end(self, term_wait_s: float) -> None:
        """SIGTERM, a bounded wait, and SIGKILL to the whole group."""
        self._signal(signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), term_wait_s)
        finally:
            self.kill()
        await self.wait()

    def kill(self) -> None:
        """Ends the whole group at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._child.returncode is None:
            with suppress(ProcessLookupError, PermissionError):  # nothing of it is left
                os.killpg(self.pid, number)
