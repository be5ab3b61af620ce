"""Where an engine's server comes from: a process that we start and end, or one that somebody else runs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from gpu_server.engines.base import LoadError
from gpu_server.engines.remote.process import EngineProcess, free_port
from gpu_server.settings import ModelSettings

REFUSED_S = 10.0
_LOOK_EVERY_S = 1.0


class Server(Protocol):
    """Something that listens under `url`, or will."""

    url: str
    key: str | None

    async def start(self) -> None:
        """Bring it up, as far as that is ours to do.

        Raises:
            LoadError: It cannot be started.
        """

    async def gone(self) -> str:
        """Return why, once it is gone."""

    def last_lines(self) -> str:
        """Return the end of its log, or nothing."""

    async def close(self) -> None:
        """End what `start` began."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts an engine's program: its flags, and what must not show in an argument list."""

    flags: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """An engine's program as it is found on this machine.

    Attributes:
        name: The package that has it.
        version: The one that its flags and routes were checked against.
        command: How it is started without a command of the operator's own.
        install: How the operator gets it.
    """

    name: str
    version: str
    command: Sequence[str]
    install: str


class OwnServer:
    """A process on 127.0.0.1, with a key that is made up for this run.

    Args:
        settings: May name a command of its own, and further flags.
        program: The engine's program.
        launch: Makes the flags from the port, the key, and a folder that only we can read.
        log: Where its output goes; None is our stderr.
    """

    def __init__(
        self,
        settings: ModelSettings,
        program: Program,
        launch: Callable[[int, str, Path], Launch],
        *,
        log: Path | None,
    ) -> None:
        self.url = ""
        self.key: str | None = secrets.token_hex(24)  # nothing that a parser could take for a flag
        self._settings = settings
        self._program = program
        self._launch = launch
        self._log = log
        self._folder: Path | None = None
        self._process: EngineProcess | None = None

    async def start(self) -> None:
        """Start the process. See `Server`."""
        command = self._settings.engine_command or self._found()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._folder = Path(tempfile.mkdtemp(prefix="gpu-server-"))  # of mode 0700
        launch = self._launch(port, self.key or "", self._folder)
        self._process = EngineProcess(
            [*command, *launch.flags, *self._settings.engine_args], launch.environment, self._log
        )
        await self._process.start()

    async def gone(self) -> str:
        """Return how the process ended."""
        assert self._process is not None
        return await self._process.ended()

    def last_lines(self) -> str:
        """Return the end of the process's log."""
        return self._process.last_lines() if self._process is not None else ""

    async def close(self) -> None:
        """End the process with all that it started."""
        if self._process is not None:
            await self._process.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _found(self) -> Sequence[str]:
        program = self._program
        if importlib.util.find_spec(program.name) is None:
            raise LoadError(
                f"{program.name} is not installed in this environment. {program.install} Or name a command that "
                f'starts it: "engine_command": ["/path/to/its/python", "-m", …].'
            )
        return program.command


class AttachedServer:
    """A server that somebody else runs. It counts as gone when it has refused connections for a while.

    Args:
        url: Without a path.
        key: What it wants to see, if anything.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.key = key
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))

    async def start(self) -> None:
        """Do nothing: it runs, or it does not."""

    async def gone(self) -> str:
        """Watch the port; a restart within `REFUSED_S` goes unnoticed by design."""
        since: float | None = None
        while True:
            if await self._listens():
                since = None
            else:
                since = since or time.monotonic()
                if time.monotonic() - since >= REFUSED_S:
                    return f"{self.url} has refused connections for {REFUSED_S:g} s"
            await asyncio.sleep(_LOOK_EVERY_S)

    def last_lines(self) -> str:
        """Return nothing: its log is elsewhere."""
        return ""

    async def close(self) -> None:
        """Do nothing: it is not ours to end."""

    async def _listens(self) -> bool:
        try:
            async with asyncio.timeout(REFUSED_S):
                _, writer = await asyncio.open_connection(*self._address)
        except OSError:  # a time-out too
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
