"""The process: its socket, its announcement, its end and its exit code.

0  ended as told, by a signal or by a limit      2  configuration or token cannot be used
3  the port is taken                             4  no model could be loaded
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from pathlib import Path
from types import FrameType

import uvicorn
from pydantic import SecretStr

from gpu_server.access.gate import MAX_HEAD_BYTES
from gpu_server.access.watchdog import Watchdog
from gpu_server.api.app import make_app
from gpu_server.engines.base import Engine
from gpu_server.engines.mistralrs import MistralRsEngine
from gpu_server.engines.mistralrs_model import prepare_process
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ModelSettings, ServerSettings

logger = logging.getLogger(__name__)

EXIT_OK, EXIT_PORT_TAKEN, EXIT_NO_MODEL = 0, 3, 4
DRAIN_S = 5
KEEP_ALIVE_S = 75  # longer than clients keep theirs, so that the client is the one who closes
_BACKLOG = 2048


class PortTaken(Exception):
    """Another process has the port, or the host is not ours; the text names both and the remedy."""


class _UvicornServer(uvicorn.Server):
    """Tells when the socket listens, and ends with our exit code rather than by the signal it got."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        logger.info("signal %d: finishing what runs, at most %d s", sig, DRAIN_S)
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Take the address; port 0 lets the kernel choose.

    Raises:
        PortTaken: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(_BACKLOG)
    except OSError as error:
        taken.close()
        raise PortTaken(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Stop what uses port {port}, or set "
            '"port" to another one; 0 takes any free one.'
        ) from error
    return taken


def serve(settings: ServerSettings, token: SecretStr) -> int:
    """Serve until a signal or a limit ends it, and return the exit code.

    Raises:
        PortTaken: The address cannot be had.
    """
    with bind(settings.host, settings.port) as listener:
        return asyncio.run(_serve(settings, token, listener))


async def _serve(settings: ServerSettings, token: SecretStr, listener: socket.socket) -> int:
    prepare_process(settings.models)
    models = ServedModels(settings.models, _make_engine)
    watchdog = Watchdog(idle_timeout_s=settings.idle_timeout_s, max_lifetime_s=settings.max_lifetime_s)
    app = make_app(models, token=token, watchdog=watchdog, max_body_bytes=settings.max_body_bytes)
    server = _UvicornServer(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_graceful_shutdown=DRAIN_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listening.wait())
    await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        host, port = listener.getsockname()[:2]
        logger.info("listening on %s:%d", host, port)
        if settings.announce is not None:
            announce(settings.announce, host, port)
    with watchdog.busy():
        code = await _until_loaded(models, serving)
    if code == EXIT_OK:
        watching = asyncio.create_task(watchdog.wait())
        await asyncio.wait((serving, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            logger.info("ending: %s", watching.result())
        watching.cancel()
    listening.cancel()
    server.should_exit = True
    await serving
    await models.close()
    logger.info("ended with code %d", code)
    return code


async def _until_loaded(models: ServedModels, serving: asyncio.Task[None]) -> int:
    """Load the models, unless the server ends first."""
    loading = asyncio.create_task(models.load())
    await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        loading.cancel()
        return EXIT_OK
    if models.failed:
        reasons = "; ".join(f"{model.settings.model_id}: {model.reason}" for model in models)
        logger.error("no model could be loaded: %s", reasons)
        return EXIT_NO_MODEL
    return EXIT_OK


def announce(path: Path, host: str, port: int) -> None:
    """Write the announce file in one step: whoever sees it sees all of it."""
    content = {"pid": os.getpid(), "host": host, "port": port, "started_at": time.time()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content) + "\n", encoding="utf-8")
    draft.replace(path)


def _make_engine(settings: ModelSettings) -> Engine:
    return MistralRsEngine(settings)
