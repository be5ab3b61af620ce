"""The block that runs one command on this machine and waits for its end.

The command is a list of arguments, so no value in it is ever read by a shell. Text for a shell must say so:
``ShellText("sort names.txt | uniq")``. Nothing that the command started outlives the call: it runs in a process
group of its own, which is ended at the time limit, at the output limit, on cancellation, and after the command's
own end. It is no way to start services.
"""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from conduit.dataflow import block
from conduit.errors import CommandError, CommandFailed, CommandOutputTooLarge, CommandTimeout

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 60.0
SHELL = "/bin/sh"
# Not Sequence[str]: to a type checker a plain string is one, and a plain string must not pass for a command.
Arguments = list[str] | list[str | Path] | tuple[str | Path, ...]
_CHUNK_BYTES = 65536
_GRACE_S = 2.0
_DRAIN_S = 1.0
_POLL_S = 0.05


@dataclass(frozen=True)
class ShellText:
    """Text for ``/bin/sh -c``, with the shell's whole power: pipes, globs, substitutions.

    Never build it from values that come from elsewhere. Hand those over as environment variables and write
    ``"$NAME"`` in the text: ``run_command(ShellText('grep -c "$WORD" log.txt'), env={"WORD": word})``. The shell
    checks the text's syntax before any of it runs.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip() or "\0" in self.text:
            raise CommandError(
                f"{self.text!r} is no shell text", hint="Write a command, without NUL characters."
            )


@dataclass(frozen=True)
class CommandResult:
    """A command that ended.

    Output that is not UTF-8 has U+FFFD in it. A command that a signal ended has the signal's number,
    negated, as its exit code.
    """

    command: tuple[str, ...]
    exit_code: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    duration_s: float


@block
def run_command(
    command: ShellText | Arguments,
    *,
    folder: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    timeout_s: float = TIMEOUT_S,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    check: bool = True,
) -> CommandResult:
    """Runs a command and waits for its end.

    Args:
        command: Program and arguments, or a ``ShellText``.
        folder: Where it runs; the current folder when not given.
        env: Variables added to this process's environment.
        stdin: What it reads.
        timeout_s: After this it is ended with all that it started: asked to (SIGTERM), then killed.
        max_output_bytes: Limit of stdout and stderr together; above it the command is ended.
        check: Raise when the exit code is not 0.

    Raises:
        CommandFailed: The exit code is not 0 and ``check`` is on.
        CommandTimeout: It ran longer than ``timeout_s``.
        CommandOutputTooLarge: It printed more than ``max_output_bytes``.
        CommandError: It could not be started, or the shell text has a syntax error.
    """
    if not (timeout_s > 0 and max_output_bytes >= 0):
        raise CommandError(
            f"timeout_s={timeout_s:g}, max_output_bytes={max_output_bytes}",
            hint="timeout_s is above 0, max_output_bytes 0 or more.",
        )
    limits = _Limits(timeout_s, max_output_bytes)
    where = None if folder is None else str(folder)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    if isinstance(command, ShellText):
        _check_syntax(command.text, where, env, limits)
        arguments: tuple[str, ...] = (SHELL, "-c", command.text)
    else:
        arguments = tuple(str(part) for part in command)
        if not arguments or not arguments[0]:
            raise CommandError("The command is empty", hint='Such as ["sort", "names.txt"].')
    result = _run(arguments, where, env, data, limits)
    if check and result.exit_code != 0:
        raise _failed(result)
    return result


@dataclass(frozen=True)
class _Limits:
    timeout_s: float
    max_output_bytes: int


def _check_syntax(text: str, folder: str | None, env: Mapping[str, str] | None, limits: _Limits) -> None:
    checked = _run((SHELL, "-n", "-c", text), folder, env, b"", limits)
    if checked.exit_code != 0:
        raise CommandError(
            f"The shell cannot read {_shown((text,))}: {checked.stderr.strip()[:500]}",
            hint="Nothing of it ran. Check quotes, brackets and keywords.",
            command=(SHELL, "-c", text),
        )


def _run(
    arguments: tuple[str, ...],
    folder: str | None,
    env: Mapping[str, str] | None,
    stdin: bytes,
    limits: _Limits,
) -> CommandResult:
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(arguments, folder, error) from error
    streams = _Streams(process, stdin)
    try:
        _watch(process, streams, arguments, started + limits.timeout_s, limits)
    finally:
        # Also on cancellation. What the command left in its group goes with it: pipes would stay open for ever.
        _end(process, at_once=process.poll() is not None)
        streams.drain(time.monotonic() + _DRAIN_S, limits.max_output_bytes)
        streams.close()
    # The end of the output may have come after the command's own end.
    if streams.size_bytes > limits.max_output_bytes:
        raise _too_much(arguments, limits)
    return CommandResult(
        command=arguments,
        exit_code=process.returncode,
        stdout=streams.text("stdout"),
        stderr=streams.text("stderr"),
        duration_s=time.monotonic() - started,
    )


def _watch(
    process: subprocess.Popen[bytes],
    streams: _Streams,
    arguments: tuple[str, ...],
    deadline: float,
    limits: _Limits,
) -> None:
    """Moves bytes until the command ends or breaks a limit."""
    while process.poll() is None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise CommandTimeout(
                f"{_shown(arguments)} ran longer than {limits.timeout_s:g} s and was ended",
                hint="Give a larger timeout_s if it needs more.",
                command=arguments,
                timeout_s=limits.timeout_s,
            )
        # A command may end while a child of it holds the pipes, so its end is looked for beside theirs.
        streams.move(min(left_s, _POLL_S))
        if streams.size_bytes > limits.max_output_bytes:
            raise _too_much(arguments, limits)


class _Streams:
    """The three pipes of a process, moved without blocking on any one of them."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        self.size_bytes = 0
        self._output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._input = memoryview(stdin)
        self._selector = selectors.DefaultSelector()
        for name in ("stdin", "stdout", "stderr"):
            pipe: IO[bytes] = getattr(process, name)
            os.set_blocking(pipe.fileno(), False)
            event = selectors.EVENT_WRITE if name == "stdin" else selectors.EVENT_READ
            self._selector.register(pipe, event, name)

    def text(self, name: str) -> str:
        return self._output[name].decode("utf-8", errors="replace")

    def move(self, wait_s: float) -> bool:
        """One round; False when there was nothing to move."""
        if not self._selector.get_map():
            time.sleep(wait_s)
            return False
        ready = self._selector.select(wait_s)
        for key, _ in ready:
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]  # these were registered above
            if key.data == "stdin":
                self._feed(pipe)
            else:
                self._take(pipe, self._output[key.data])
        return bool(ready)

    def drain(self, deadline: float, limit_bytes: int) -> None:
        """Takes what is still in the pipes; bounded, for a process that left the group may hold them open."""
        for key in list(self._selector.get_map().values()):
            if key.data == "stdin":
                self._finish(key.fileobj)  # type: ignore[arg-type]  # these were registered above
        while self._selector.get_map() and time.monotonic() < deadline and self.size_bytes <= limit_bytes:
            self.move(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._finish(key.fileobj)  # type: ignore[arg-type]  # these were registered above
        self._selector.close()

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            self._input = self._input[os.write(pipe.fileno(), self._input[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to read more
            self._input = self._input[:0]
        if not self._input:
            self._finish(pipe)

    def _take(self, pipe: IO[bytes], into: bytearray) -> None:
        try:
            chunk = os.read(pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return
        into += chunk
        self.size_bytes += len(chunk)
        if not chunk:
            self._finish(pipe)

    def _finish(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        with suppress(BrokenPipeError):
            pipe.close()


def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
    """Ends the process and its group, and waits for the process."""
    if not at_once:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    # PermissionError: macOS says so of a group in which only dead processes are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _not_started(arguments: tuple[str, ...], folder: str | None, error: Exception) -> CommandError:
    hint = None
    if folder is not None and not Path(folder).is_dir():
        hint = f"There is no folder {folder}."
    elif isinstance(error, FileNotFoundError):
        hint = f"Install {arguments[0]}, or give its whole path. Shell text is written ShellText(...)."
    elif isinstance(error, PermissionError):
        hint = f"{arguments[0]} may not be executed; check its permissions."
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return CommandError(f"{_shown(arguments)} did not start: {reason}", hint=hint, command=arguments)


def _failed(result: CommandResult) -> CommandFailed:
    how = f"ended with exit code {result.exit_code}"
    if result.exit_code < 0:
        with suppress(ValueError):
            how = f"was ended by {signal.Signals(-result.exit_code).name}"
    tail = result.stderr.strip()[-2000:]
    last = tail.rpartition("\n")[2][:300]
    return CommandFailed(
        f"{_shown(result.command)} {how} after {result.duration_s:.1f} s" + (f": {last}" if last else ""),
        hint="check=False returns the result whatever the exit code is.",
        command=result.command,
        exit_code=result.exit_code,
        stderr_tail=tail,
    )


def _too_much(arguments: tuple[str, ...], limits: _Limits) -> CommandOutputTooLarge:
    return CommandOutputTooLarge(
        f"{_shown(arguments)} printed more than {limits.max_output_bytes} bytes",
        hint="Give a larger max_output_bytes, or let it write to a file.",
        command=arguments,
        limit_bytes=limits.max_output_bytes,
    )


def _shown(arguments: tuple[str, ...]) -> str:
    text = shlex.join(arguments)
    return text if len(text) <= 200 else f"{text[:200]}…"
