"""Runs the simulator in this process until it is told to end, and ends all pods with it."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from conduit.errors import ProviderUnavailable
from conduit.sim.runpod.address import Address
from conduit.sim.runpod.api.gate import ABORT
from conduit.sim.runpod.api.proxy import Proxy
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.app import make_app
from conduit.sim.runpod.events import Event, Events
from conduit.sim.runpod.faults import Faults
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.pods.cloud import Cloud, add_foreign
from conduit.sim.runpod.pods.server_config import check_model
from conduit.sim.runpod.serverless.fleet import Fleet
from conduit.sim.runpod.shelf import Shelf

HOST = "127.0.0.1"


class _Connection(HttpToolsProtocol):
    """Lets a fault cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {ABORT: self.transport.abort}
        self.scope["extensions"] = extensions


class _Server(uvicorn.Server):
    """Tells when it listens, and takes a signal as the wish to end in good order."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


async def serve(
    options: Options,
    *,
    on_ready: Callable[[Address], None],
    on_event: Callable[[Event], None] | None = None,
    until: asyncio.Event | None = None,
) -> None:
    """Serves until a signal comes or the event is set. Must run in the main thread: pods are tied to it.

    Args:
        options: How it is set up.
        on_ready: Called once it listens.
        on_event: Called with whatever happens.
        until: Ends it when set.

    Raises:
        ProviderUnavailable: Its port is taken.
        ModelNotFound: There is no model to be loaded in its pods.
    """
    check_model(options.model)
    with (
        closing(_bound(options.port)) as listener,
        tempfile.TemporaryDirectory(prefix="conduit-sim-") as folder,
    ):
        events, faults = Events(on_event), Faults(options.faults)
        cloud = Cloud(options, events, faults, Path(folder))
        fleet = Fleet(options, events, cloud)
        state = State(options, events, faults, cloud, Shelf(), fleet)
        proxy = Proxy(state)

        def listening() -> None:
            address = Address(f"http://{HOST}:{listener.getsockname()[1]}")
            cloud.base_url = address.base_url
            on_ready(address)
            add_foreign(cloud, options.foreign)

        config = uvicorn.Config(
            make_app(state, proxy),
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=30,
        )
        server = _Server(config, listening)
        watch = asyncio.get_running_loop().create_task(_end(server, until))
        try:
            await server.serve(sockets=[listener])
        finally:
            watch.cancel()
            await fleet.aclose()
            await cloud.aclose()
            await proxy.aclose()


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ProviderUnavailable(
            f"The simulator cannot listen on {HOST}:{port}: {error.strerror or error}.",
            hint="Take another port; 0 takes a free one.",
        ) from error
    return listener


async def _end(server: uvicorn.Server, until: asyncio.Event | None) -> None:
    if until is not None:
        await until.wait()
        server.should_exit = True
