"""Prefect's own commands as a user types them: servers, workers, deployments. Each process ends with its block."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from support.command_line import until

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
START_S = 180.0
_STOP_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    command: list[str], *, cwd: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block, nor do those that it has started in its session."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Prefect:
    """The commands against one server, run in one folder."""

    def __init__(self, api_url: str, cwd: Path, logs: Path, **environment: str) -> None:
        self.api_url, self.cwd, self._logs = api_url, cwd, logs
        quick = {"PREFECT_WORKER_QUERY_SECONDS": "1", "COLUMNS": "200", "PREFECT_API_URL": api_url}
        # Steps of deployments find the programs beside this Python.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = dict(os.environ) | quick | {"PATH": path} | environment
        self.api = httpx.Client(base_url=api_url, timeout=30)

    def __call__(self, *arguments: str, code: int = 0, timeout_s: float = 150.0) -> str:
        """Runs a command; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def worker(self, pool: str, *options: str) -> Iterator[Path]:
        """A worker in the background; its log."""
        log = self._logs / f"worker-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, *options]
        with started(command, cwd=self.cwd, log=log, environment=self.environment):
            yield log

    def pool(self, name: str) -> None:
        """A work pool of processes, whether it was there or not."""
        self("work-pool", "create", name, "--type", "process", "--overwrite")

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment, by ``flow/name``."""
        answer = self.api.get(f"/deployments/name/{name}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def trigger(self, name: str, /, **parameters: Any) -> str:
        """Has a deployment run now; the flow run's id."""
        given = [
            part for key, value in parameters.items() for part in ("--param", f"{key}={json.dumps(value)}")
        ]
        said = self("deployment", "run", name, *given)
        return next(line.split()[-1] for line in said.splitlines() if "UUID:" in line)

    def flow_run(self, run_id: str) -> dict[str, Any]:
        """What the server knows of a flow run."""
        found: dict[str, Any] = self.api.get(f"/flow_runs/{run_id}").json()
        return found

    def ended(self, run_id: str, log: Path | None = None, timeout_s: float = 150.0) -> dict[str, Any]:
        """A flow run once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.flow_run(run_id)
            return found if found["state_type"] in ENDED else None

        try:
            found: dict[str, Any] = until(look, f"flow run {run_id} has ended", timeout_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{log.read_text()[-6000:] if log else ''}") from None
        return found


@contextmanager
def server(home: Path) -> Iterator[str]:
    """A Prefect server with its UI, on a free port; the address of its API."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | own
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with started(command, cwd=home, log=log, environment=environment) as process:
        healthy(url, process, log)
        yield url


def healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until a server answers."""

    def look() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}:\n{log.read_text()[-3000:]}"
        try:
            return httpx.get(f"{url}/health", timeout=2).is_success
        except httpx.TransportError:
            return False

    until(look, f"the Prefect server at {url} answers", START_S)
