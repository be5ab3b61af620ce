"""A Prefect server of Conduit's own, for those who have none: found, started, waited for, ended.

It keeps its database in the data folder, listens on a free port of this machine, and is remembered in a small
record there, so that another process can find and end it. Prefect itself is not imported: the server is a process.
A server that the user has configured is only looked for here, never touched.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from conduit.dataflow import require_server
from conduit.errors import FlowServerUnreachable, StoreUnavailable
from conduit.settings import Settings

START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.1
_LOG_LINES = 5


@dataclass(frozen=True)
class RunningServer:
    """A server that was started here. Its process is told from a later one of the same number by its start.

    Attributes:
        kept: It is to stay up until ``conduit down``.
    """

    pid: int
    started_at: float
    port: int
    kept: bool = False

    @property
    def ui_url(self) -> str:
        """Address of the UI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """Value for ``PREFECT_API_URL``."""
        return f"{self.ui_url}/api"

    def view(self) -> dict[str, Any]:
        """It as plain values, for ``--json``."""
        return {"ui_url": self.ui_url, "api_url": self.api_url, "pid": self.pid, "answers": self.healthy()}

    def process(self) -> psutil.Process | None:
        """Its process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.api_url}/health", timeout=5.0).is_success
        except httpx.HTTPError:
            return False


class OwnServer:
    """The one Prefect server of a data folder."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.data_dir / "prefect"
        self.log = self.home / "server.log"
        self._record = self.home / "server.json"
        self._started: subprocess.Popen[bytes] | None = None

    def running(self) -> RunningServer | None:
        """The server that runs now, answering or not yet."""
        try:
            server = RunningServer(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return server if server.process() is not None else None

    def start(self) -> RunningServer:
        """Starts a server and returns at once; ``wait`` for it before use.

        Raises:
            StoreUnavailable: The data folder cannot be written.
        """
        port = _free_port()
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            log = self.log.open("wb")
        except OSError as error:
            raise StoreUnavailable(
                f"The Prefect server's folder {self.home} cannot be written: {error.strerror}.",
                hint="Set CONDUIT_DATA_DIR to a folder that you may write to.",
                path=str(self.home),
            ) from error
        command = [
            sys.executable,
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        with log:
            self._started = subprocess.Popen(
                command,
                env=server_environment(self.home, port),
                cwd=self.home,  # Prefect reads .env and prefect.toml where it stands
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C ends the flow first; the server is ended after it
            )
        pid = self._started.pid
        server = RunningServer(pid, psutil.Process(pid).create_time(), port)
        self._write(server)
        return server

    def wait(self, server: RunningServer, check: Callable[[], None] = lambda: None) -> None:
        """Waits until the server answers.

        Args:
            server: As started.
            check: Called now and then; what it raises ends the waiting.

        Raises:
            FlowServerUnreachable: It ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.healthy():
            check()
            if server.process() is None:
                raise self._failed(server, "ended before it answered")
            if time.monotonic() > deadline:
                raise self._failed(server, f"did not answer within {START_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)

    def keep(self, server: RunningServer) -> RunningServer:
        """Notes that the server is to stay up."""
        kept = RunningServer(server.pid, server.started_at, server.port, kept=True)
        self._write(kept)
        return kept

    def stop(self) -> RunningServer | None:
        """Ends the server with all of its processes; returns which, ``None`` when there was none."""
        server = self.running()
        if server is not None and (process := server.process()) is not None:
            processes = [process, *_children(process)]
            for each in processes:
                _signal(each.terminate)
            _, alive = psutil.wait_procs(processes, timeout=STOP_TIMEOUT_S)
            for each in alive:
                _signal(each.kill)
            psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)
        if self._started is not None:
            self._started.wait()
        self._record.unlink(missing_ok=True)
        return server

    def _write(self, server: RunningServer) -> None:
        beside = self._record.with_suffix(".new")
        beside.write_text(json.dumps(asdict(server)), encoding="utf-8")
        beside.replace(self._record)

    def _failed(self, server: RunningServer, what: str) -> FlowServerUnreachable:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LOG_LINES:]
        return FlowServerUnreachable(
            f"The Prefect server that was started on port {server.port} {what}. "
            f"Its last words: {' / '.join(line.strip() for line in lines) or 'none'}",
            hint=f"`conduit doctor` checks the versions it needs. Its log: {self.log}.",
            api_url=server.api_url,
        )


def server_environment(home: Path, port: int) -> dict[str, str]:
    """The environment of a server of our own: none of the user's Prefect settings, which may name a database."""
    return _without_prefect() | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
    }


def client_environment(home: Path, api_url: str) -> dict[str, str]:
    """The environment of a flow that talks to a server of our own."""
    return _without_prefect() | {"PREFECT_HOME": str(home), "PREFECT_API_URL": api_url, "DO_NOT_TRACK": "1"}


def configured_server() -> str | None:
    """Address of the Prefect API that the user has configured; ``None`` when there is none.

    Raises:
        FlowServerUnreachable: One is configured and does not answer.
    """
    # Asking Prefect means importing it, for seconds: not where no setting can be.
    if not any(_places_of_settings()):
        return None
    try:
        return require_server()
    except FlowServerUnreachable as error:
        if error.api_url is None:
            return None
        raise


def _places_of_settings() -> list[bool]:
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    return [
        "PREFECT_API_URL" in os.environ,
        _mentions(profiles, "PREFECT_API_URL"),
        _mentions(Path(".env"), "PREFECT_"),
        _mentions(Path("prefect.toml"), "url"),
        _mentions(Path("pyproject.toml"), "[tool.prefect"),
    ]


def _mentions(file: Path, text: str) -> bool:
    try:
        return text in file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _without_prefect() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
