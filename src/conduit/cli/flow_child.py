"""The demo's side of the flow's process: starting it, hearing what it tells, ending it whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from conduit.cli.flow_process import Task
from conduit.errors import ConduitError

END_TIMEOUT_S = 20.0
_LOG_LINES = 5


class FlowChild:
    """The flow's process, for as long as the ``with`` block lasts.

    Attributes:
        killed: It did not end when told to and was killed, so that its own clean-up did not happen.
    """

    def __init__(self, task: Task, *, log: Path, environment: Mapping[str, str], cwd: Path | None) -> None:
        self.killed = False
        self._log = log
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "conduit.cli.flow_process", json.dumps(asdict(task))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is the demo's to handle
                text=True,
                encoding="utf-8",
            )

    def __enter__(self) -> Self:
        """Nothing more: the process has been started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has the process end by itself, and kills it when that takes too long."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.killed = True
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def check(self) -> None:
        """Raises the process's error if it has ended."""
        if self._process.poll() is not None:
            self.event("nothing more")

    def go(self) -> None:
        """Says that the Prefect server answers."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.check()

    def event(self, name: str) -> dict[str, Any]:
        """Waits for the event of that name; others are passed over.

        Raises:
            ConduitError: The process told an error, or ended without a word.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == name:
                return told
            if told["event"] == "error":
                raise self._error(told)
        code = self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_LINES:]
        raise ConduitError(
            f"The flow's process ended with code {code}. Its last words: {' / '.join(lines) or 'none'}",
            hint=f"Its log: {self._log}.",
        )

    def finish(self) -> None:
        """Waits until the process has cleaned up and ended.

        Raises:
            ConduitError: It told an error, or ended with an error code.
        """
        self.event("done")
        self._process.wait()

    def _error(self, told: Mapping[str, Any]) -> ConduitError:
        # In another process it was of this class; its text and code are what came over.
        kind = _by_code(ConduitError, told["code"]) or ConduitError
        return kind(told["message"], hint=told["hint"] or f"The flow's log: {self._log}.")


def _by_code(kind: type[ConduitError], code: str) -> type[ConduitError] | None:
    if kind.code == code:
        return kind
    return next((found for child in kind.__subclasses__() if (found := _by_code(child, code))), None)
