"""The process: its socket, its announcement, its end and its exit code.

0  ended as told, by a signal or by a limit      2  configuration or token cannot be used
3  the port is taken                             4  no model could be loaded
5  this machine cannot run the engine, another may
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import time
from pathlib import Path
from types import FrameType
from typing import Literal

import uvicorn
from pydantic import SecretStr

from gpu_server.access.connection import Connections
from gpu_server.access.file_limit import raise_file_limit
from gpu_server.access.tls import tls_context
from gpu_server.access.watchdog import Watchdog
from gpu_server.api.app import make_app
from gpu_server.engine_choice import engine_maker
from gpu_server.host.base import Host
from gpu_server.host.choice import host_of
from gpu_server.host.ending import ask_until_gone
from gpu_server.preparation import preparation
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ServerSettings, expiry
from gpu_server.tracing import tracing_from_environment

logger = logging.getLogger(__name__)

EXIT_OK, EXIT_PORT_TAKEN, EXIT_NO_MODEL, EXIT_UNFIT_HOST = 0, 3, 4, 5
DRAIN_LOOK_S = 0.02
CUT_S = 1  # for what is still open when the time to drain is over
FAILED_STAYS_S = 120  # a rented machine that failed: in which its owner can read why at /ready
KEEP_ALIVE_S = 75  # longer than clients keep theirs, so that the client is the one who closes
_BACKLOG = 2048


class PortTaken(Exception):
    """Another process has the port, or the host is not ours; the text names both and the remedy."""


class _UvicornServer(uvicorn.Server):
    """Tells when the socket listens and when a signal came; ends with our exit code rather than by that signal.

    The first signal only tells: the socket goes on listening, so that callers and probes learn of the drain. The
    second one ends everything.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.signalled = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        if self.signalled.is_set():
            logger.info("signal %d again: ending at once", sig)
            self.should_exit = self.force_exit = True
        else:
            logger.info("signal %d: finishing what runs", sig)
            self.signalled.set()
        self._loop.call_soon_threadsafe(lambda: None)  # a signal's handler does not wake the loop by itself


def quickest_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop; uvloop's where there is one."""
    try:
        import uvloop
    except ImportError:  # on Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def bind(host: str, port: int) -> socket.socket:
    """Take the address; port 0 lets the kernel choose.

    Raises:
        PortTaken: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: connections inherit it, and asyncio sends small pieces at once only where it is TCP.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
        SettingsError: The certificate or its key cannot be used, or the environment misses what the machine's end
            needs.
    """
    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = tls_context(settings.tls_certificate, settings.tls_key)
    watchdog = Watchdog(
        idle_timeout_s=settings.idle_timeout_s,
        max_lifetime_s=settings.max_lifetime_s,
        expires_at=expiry(settings),
    )
    machine = host_of(settings.host_api)  # also where it is not used: its key leaves the environment
    if settings.on_expiry == "exit":
        machine = None
    raise_file_limit()
    with (
        bind(settings.host, settings.port) as listener,
        asyncio.Runner(loop_factory=quickest_loop) as runner,
    ):
        return runner.run(_serve(settings, token, listener, tls, watchdog, machine))


async def _serve(
    settings: ServerSettings,
    token: SecretStr,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    watchdog: Watchdog,
    machine: Host | None,
) -> int:
    models = ServedModels(settings.models, engine_maker(settings), preparation(settings))
    connections = Connections(settings)
    tracing = tracing_from_environment()
    draining = asyncio.Event()
    app = make_app(
        models,
        settings,
        token=token,
        watchdog=watchdog,
        connections=connections,
        draining=draining.is_set,
        tracing=tracing,
    )
    server = _UvicornServer(
        uvicorn.Config(
            app,
            http=connections.protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_context_factory=None if tls is None else lambda *_: tls,
            timeout_graceful_shutdown=CUT_S,
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
            announce(settings.announce, host, port, scheme="http" if tls is None else "https")
    signalled = asyncio.create_task(server.signalled.wait())
    watching = asyncio.create_task(watchdog.wait())
    with watchdog.busy():
        code = await _until_loaded(models, serving, signalled, watching)
    if code == EXIT_OK or machine is not None:
        await asyncio.wait(
            (serving, signalled, watching),
            timeout=None if code == EXIT_OK else FAILED_STAYS_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if watching.done():
            logger.info("ending: %s", watching.result())
        draining.set()
        await _drained(models, watchdog, serving, settings.drain_s)
        if machine is not None and not signalled.done():
            await _until_ended(machine, serving, signalled)
    watching.cancel()
    listening.cancel()
    signalled.cancel()
    server.should_exit = True
    await serving
    await app.close()
    await models.close()
    if tracing is not None:
        await asyncio.to_thread(tracing.close)
    logger.info("ended with code %d", code)
    return code


async def _until_ended(
    machine: Host, serving: asyncio.Task[None], signalled: asyncio.Task[Literal[True]]
) -> None:
    """Ask for the machine's end until a signal, which is that end, or its beginning, comes."""
    asking = asyncio.create_task(ask_until_gone(machine))
    await asyncio.wait((serving, signalled, asking), return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    await asyncio.wait((asking,))


async def _until_loaded(
    models: ServedModels,
    serving: asyncio.Task[None],
    signalled: asyncio.Task[Literal[True]],
    watching: asyncio.Task[str],
) -> int:
    """Load the models, unless the server is told to end first."""
    loading = asyncio.create_task(models.load())
    await asyncio.wait((serving, signalled, watching, loading), return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        loading.cancel()
        await asyncio.wait((loading,))
        return EXIT_OK
    if models.unfit_host:
        reasons = "; ".join(
            f"{model.settings.model_id}: {model.reason}" for model in models if model.unfit_host
        )
        logger.error("this machine cannot be used: %s", reasons)
        return EXIT_UNFIT_HOST
    if models.failed:
        reasons = "; ".join(f"{model.settings.model_id}: {model.reason}" for model in models)
        logger.error("no model could be loaded: %s", reasons)
        return EXIT_NO_MODEL
    return EXIT_OK


async def _drained(
    models: ServedModels, watchdog: Watchdog, serving: asyncio.Task[None], drain_s: float
) -> None:
    """Return once nothing is in flight, the time is over, or the server is told to end at once."""
    ends = time.monotonic() + drain_s
    while (watchdog.in_flight or models.in_flight) and time.monotonic() < ends and not serving.done():
        await asyncio.wait((serving,), timeout=DRAIN_LOOK_S)
    if watchdog.in_flight or models.in_flight:
        logger.warning("cutting off %d requests", max(watchdog.in_flight, models.in_flight))


def announce(path: Path, host: str, port: int, *, scheme: str = "http") -> None:
    """Write the announce file in one step: whoever sees it sees all of it."""
    content = {
        "pid": os.getpid(),
        "scheme": scheme,
        "host": host,
        "port": port,
        "started_at": time.time(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content) + "\n", encoding="utf-8")
    draft.replace(path)
