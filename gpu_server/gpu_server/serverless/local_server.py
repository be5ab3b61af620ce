"""The server as a process of the worker, on a port of 127.0.0.1 with a token that is made up for this run."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from gpu_server.engines.remote import launcher
from gpu_server.serverless.handler import Answer
from gpu_server.serverless.job import Asked
from gpu_server.settings import CONFIG_VARIABLE, EXPIRY_VARIABLE, TOKEN_VARIABLE, ServerSettings

COMMAND = (sys.executable, "-m", "gpu_server")
END_S = 20.0
_LOOK_S = 0.05
_ANSWER_S = 10.0
_CONNECT_S = 10.0
# What the platform decides itself: whether the worker lives, and who may ask.
_NOT_HERE = frozenset(
    {"announce", "idle_timeout_s", "max_lifetime_s", "expires_at", "on_expiry", "host_api", "tls_certificate",
     "tls_key", "requests_per_s"}
)  # fmt: skip


class ServerEnded(Exception):
    """The server ended, or cannot serve all its models.

    Attributes:
        code: Exit code for the worker.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class LocalServer:
    """One run of the server.

    Args:
        settings: What it serves; limits of its life and its door are left out.
        command: Starts it; another Python's, where the SDK has an environment of its own.
    """

    def __init__(self, settings: ServerSettings, command: Sequence[str] = COMMAND) -> None:
        self.served = [model.model_id for model in settings.models]
        self.places = sum(model.max_model_concurrency for model in settings.models)
        self._settings = settings
        self._command = command
        self._token = secrets.token_hex(24)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self) -> None:
        """Start it, and return when it answers for all its models.

        Raises:
            ServerEnded: It will not.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="gpu-server-worker-")
        announced = Path(self._folder.name) / "announce.json"
        config = self._settings.model_dump(mode="json", exclude=set(_NOT_HERE))
        config |= {"host": "127.0.0.1", "port": 0, "announce": str(announced)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNPOD_")}
        kept.pop(EXPIRY_VARIABLE, None)
        self._process = subprocess.Popen(
            [sys.executable, launcher.__file__, str(os.getpid()), *self._command],
            env={**kept, CONFIG_VARIABLE: json.dumps(config), TOKEN_VARIABLE: self._token},
            stdin=subprocess.DEVNULL,
        )
        while not announced.exists():
            self._must_run()
            time.sleep(_LOOK_S)
        self._port = json.loads(announced.read_text())["port"]
        while not self._is_ready():
            self._must_run()
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()

    @contextlib.asynccontextmanager
    async def ask(self, asked: Asked) -> AsyncIterator[Answer]:
        """Send a request. See `Backend`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        method = "GET" if asked.body is None else "POST"
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(
                    method,
                    f"http://127.0.0.1:{self._port}{asked.route}",
                    data=asked.body,
                    headers={"content-type": "application/json", "authorization": f"Bearer {self._token}"},
                ) as answer,
            ):
                yield Answer(
                    answer.status, answer.content_type == "text/event-stream", _pieces(answer.content)
                )
        except aiohttp.ClientError as error:
            raise ConnectionError(type(error).__name__) from error

    def _must_run(self) -> None:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise ServerEnded(
                f"the server ended with code {code} before it was ready", code if code > 0 else 1
            )

    def _is_ready(self) -> bool:
        told = self._ready()
        failed = [model for model in told.get("models", ()) if model["state"] == "failed"]
        if failed:
            reasons = "; ".join(f"{model['model_id']}: {model['reason']}" for model in failed)
            raise ServerEnded(f"not all models could be loaded: {reasons}", 4)
        return bool(told.get("ready"))

    def _ready(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_S)
        try:
            connection.request("GET", "/ready", headers={"authorization": f"Bearer {self._token}"})
            told = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()
        return told if isinstance(told, dict) else {}


async def _pieces(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Yield what has come since the last piece was taken: a slow taker gets fewer and larger ones."""
    while piece := await content.readany():
        yield piece
