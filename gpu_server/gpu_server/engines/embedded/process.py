"""The server's end of the engine's process: starts it, passes messages both ways, tells when it is gone.

Everything happens on the event loop; no thread is needed. What the process prints goes to its log file, or to our
standard error when there is none; its last line is kept for the one who asks why it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from gpu_server.engines.base import EngineLost, LoadError
from gpu_server.engines.embedded.frames import Frames, Message, NoFrame, encode

CLOSE_S = 1.0
KILL_S = 5.0
_LAST_WORDS_S = 0.5
_KILLED_S = 2.0
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
_LINE_CHARS = 300


class EngineProcess(asyncio.SubprocessProtocol):
    """One run of the engine's program.

    Args:
        on_message: Takes each message that comes.
        log: File that gets what the process prints.
    """

    def __init__(self, on_message: Callable[[list[Any]], None], log: Path | None) -> None:
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._log_file = log
        self._log: BinaryIO | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._frames = Frames()
        self._messages: list[Message] = []
        self._why: str | None = None
        self._line = b""
        self._killed = False

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the program.

        Raises:
            LoadError: It cannot be started, or its log cannot be written.
        """
        try:
            if self._log_file is not None:
                self._log_file.parent.mkdir(parents=True, exist_ok=True)
                self._log = self._log_file.open("ab", buffering=0)
            await self._loop.subprocess_exec(lambda: self, *command, env=dict(environment))
        except OSError as error:
            self._close_log()
            raise LoadError(f"the engine cannot be started: {error}") from error

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return None if self._transport is None else self._transport.get_pid()

    def send(self, message: Message) -> None:
        """Send a message; those of one turn of the event loop go out together.

        Raises:
            EngineLost: The process is gone.
        """
        if self.gone.done():
            raise EngineLost(self.gone.result())
        self._messages.append(message)
        if len(self._messages) == 1:
            self._loop.call_soon(self._flush)

    async def close(self) -> None:
        """End the process, kindly at first; return when it is gone."""
        if self._transport is None:
            return
        self._why = self._why or "it was closed"
        with contextlib.suppress(OSError, RuntimeError):
            self._pipe(0).close()
        await asyncio.wait([self.gone], timeout=CLOSE_S)
        self._kill()
        await asyncio.wait([self.gone], timeout=KILL_S)
        self._end()
        self._transport.close()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the process at hand."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take answers from standard output, and lines for the log from standard error."""
        if fd != 1:
            self._print(data)
            return
        try:
            for message in self._frames.feed(data):
                self._on_message(message)
        except NoFrame as error:
            self._why = f"it wrote what is no frame: {error}"
            self._frames = Frames()
            self._kill()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """End a process that can no longer answer."""
        del exc
        if fd == 1:
            self._loop.call_later(_LAST_WORDS_S, self._kill)

    def process_exited(self) -> None:
        """Wait a moment for its last words."""
        self._loop.call_later(_LAST_WORDS_S, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything is read."""
        del exc
        self._end()

    def _pipe(self, fd: int) -> asyncio.WriteTransport:
        assert self._transport is not None
        return cast("asyncio.WriteTransport", self._transport.get_pipe_transport(fd))

    def _flush(self) -> None:
        messages, self._messages = self._messages, []
        if not self.gone.done():
            with contextlib.suppress(OSError, RuntimeError):  # it is gone, which others will tell
                self._pipe(0).write(encode(messages))

    def _kill(self) -> None:
        if self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()
            # An event loop may miss the end of a process that is killed as it ends.
            self._killed = True
            self._loop.call_later(_KILLED_S, self._end)

    def _print(self, data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk or a closed stderr is no reason to end
            if self._log is not None:
                self._log.write(data)
            else:
                sys.stderr.buffer.write(data)
                sys.stderr.buffer.flush()
        lines = [line for line in data.splitlines() if line.strip()]
        if lines:
            self._line = lines[-1]

    def _end(self) -> None:
        if self.gone.done():
            return
        assert self._transport is not None
        self.gone.set_result(self._reason(self._transport.get_returncode()))
        self._close_log()
        self._transport.close()

    def _reason(self, status: int | None) -> str:
        if status is None and self._killed:
            how = "the engine's process was ended by SIGKILL"
        elif status is None:
            how = "the engine's process cannot be ended"
        elif status < 0:
            with contextlib.suppress(ValueError):
                how = f"the engine's process was ended by {signal.Signals(-status).name}"
        else:
            how = f"the engine's process ended with status {status}"
        if self._why:
            how += f"; {self._why}"
        line = _COLOURS.sub(b"", self._line).decode("utf-8", "replace").strip()[:_LINE_CHARS]
        return f"{how}; its last line: {line}" if line else how

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
