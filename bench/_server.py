"""A gpu_server started plainly, with its processes' CPU time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

TOKEN: Final = "a-token-for-benchmarks"


class Server:
    """One server that is ready."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.url = url
        self._process = psutil.Process(process.pid)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {TOKEN}"}

    @property
    def processes(self) -> list[psutil.Process]:
        """The server and all that it has started."""
        return [self._process, *self._process.children(recursive=True)]

    @property
    def cpu_s(self) -> float:
        times = [process.cpu_times() for process in self.processes]
        return float(sum(each.user + each.system for each in times))


@contextmanager
def serving(folder: Path, models: list[dict[str, Any]], ready_s: float = 120.0) -> Iterator[Server]:
    """Runs a server for as long as the block; `folder` gets its files, and `ready_s` is how long it may start."""
    announce, config = folder / "announce.json", folder / "config.json"
    config.write_text(json.dumps({"announce": str(announce), "models": models}))
    process = subprocess.Popen(
        [sys.executable, "-m", "gpu_server", "--config", str(config), "--log-level", "warning"],
        env={**os.environ, "GPU_SERVER_TOKEN": TOKEN},
        stdin=subprocess.DEVNULL,
    )
    try:
        yield Server(process, _until_ready(process, announce, ready_s))
    finally:
        process.terminate()
        process.wait(30)
        announce.unlink(missing_ok=True)


def _until_ready(process: subprocess.Popen[bytes], announce: Path, ready_s: float) -> str:
    deadline = time.monotonic() + ready_s
    while time.monotonic() < deadline and process.poll() is None:
        if announce.exists():
            at = json.loads(announce.read_text())
            url = f"http://{at['host']}:{at['port']}"
            with suppress(httpx.TransportError):  # it is about to end
                if httpx.get(f"{url}/ready", headers={"authorization": f"Bearer {TOKEN}"}).is_success:
                    return url
        time.sleep(0.05)
    raise SystemExit(f"the server is not ready after {ready_s:g} s (exit code {process.poll()})")
