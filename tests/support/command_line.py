"""The ``conduit`` command as its user runs it: a process with a data folder of its own and no Prefect settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

CONDUIT = ("-m", "conduit")


class CommandLine:
    """Runs commands on one data folder, and knows what still runs of it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.data_dir = folder / "data"
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        self._cwd = home
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "CONDUIT_"))}
        own = {"HOME": str(home), "CONDUIT_DATA_DIR": str(self.data_dir), "COLUMNS": "120"}
        self._environment = inherited | own | environment

    @contextmanager
    def start(self, *arguments: str, module: tuple[str, ...] = CONDUIT) -> Iterator[subprocess.Popen[str]]:
        """Starts a command; it does not outlive the block."""
        process = subprocess.Popen(
            [sys.executable, *module, *arguments],
            cwd=self._cwd,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def run(
        self, *arguments: str, module: tuple[str, ...] = CONDUIT, timeout_s: float = 280.0
    ) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, module=module) as process:
            stdout, stderr = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The one document that the command prints."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def living(self) -> list[str]:
        """Command lines of the processes that belong to the data folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and self._is_ours(
                    process.environ(), process.cmdline()
                ):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found

    def _is_ours(self, environment: Mapping[str, str], command: list[str]) -> bool:
        folder = str(self.data_dir)
        return environment.get("CONDUIT_DATA_DIR") == folder or any(folder in part for part in command)


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Waits for a condition to hold and gives its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)
    return value
