"""``lm.serve()``: one OpenAI-compatible address over all replicas of an LMLite, until it is closed.

It runs on the portal's loop, in the process that calls it, where the pool of replicas and the connections to them
live: so calls of the program and requests to the address share policy, failover and health. What callers send
comes by ``doorway`` and is HTTP by ``door``, what replicas answer comes by ``replicas.connections``; both on
httptools and uvloop. A web framework with an HTTP client behind it forwards a third of the requests a second
(``bench/lmlite_scale.py``). While it is open, what the program had made before is out of the garbage collector's
sight: to look through all of that again and again costs up to a third of the requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import socket
import ssl
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from conduit.errors import ArgumentInvalid, NoReplica
from conduit.lmlite.calls import substitute
from conduit.lmlite.calls.calling import Caller
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.front.app import App
from conduit.lmlite.front.door import Door, Doors, Limits
from conduit.lmlite.front.doorway import Doorway
from conduit.lmlite.portal import Portal, portal
from conduit.lmlite.replicas.pool import Pool

_BACKLOG = 2048
_MIN_TOKEN_CHARS = 8
_GRACE_S = 10.0


class Front:
    """One address over all replicas.

    Attributes:
        url: OpenAI-compatible base URL, ending in ``/v1``.
        token: What its callers show as bearer token (``token.get_secret_value()``).
    """

    def __init__(self, url: str, token: SecretStr, home: Portal, listening: Listening) -> None:
        self.url, self.token = url, token
        self._home, self._listening = home, listening
        self._closing = threading.Lock()
        self._closed = threading.Event()

    def __repr__(self) -> str:
        """Its address."""
        return f"Front({self.url!r})"

    def close(self, *, grace_s: float = _GRACE_S) -> None:
        """Takes no more requests, lets those that run end within ``grace_s``, and frees the port."""
        with self._closing:
            if not self._closed.is_set():
                if self._home.alive:
                    self._home.call(self._listening.close, grace_s)
                self._closed.set()

    async def aclose(self, *, grace_s: float = _GRACE_S) -> None:
        """``close`` for coroutines."""
        await self._home.acall(self._listening.close, grace_s)
        self._closed.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until it is closed; whether it is."""
        return self._closed.wait(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.aclose()


async def serve(
    caller: Caller,
    config: ResourceConfig,
    *,
    timeout_s: float,
    host: str,
    port: int,
    token: str | SecretStr | None,
    tls_certificate: str | Path | None,
    tls_key: str | Path | None,
    limits: Limits | None = None,
) -> Front:
    """Opens the address; runs on the portal's loop. The deployment comes up with the first request.

    Args:
        caller: Of the LMLite.
        config: Of the LMLite.
        timeout_s: Deadline of one request.
        host: Address to listen at.
        port: 0 for a free one.
        token: What callers are to show; made up if ``None``.
        tls_certificate: PEM file; with ``tls_key`` it speaks HTTPS only.
        tls_key: PEM file.
        limits: What callers may do.

    Raises:
        ArgumentInvalid: The port is taken, the address is none of this machine's, a file does not fit, or the token
            is too short.
        NoReplica: A substitute answers in the replicas' place.
    """
    if substitute.current() is not None:
        raise NoReplica(
            "There is nothing to serve while a substitute answers.",
            hint="Leave conduit.override(...) first.",
        )
    secret = _token(token)
    context = _tls(tls_certificate, tls_key)
    listener = _bind(host, port)
    doors = Doors(limits or Limits())
    backend = _Backend(caller)
    app = App(backend, caller.pool_now, config=config, token=secret, doors=doors, timeout_s=timeout_s)
    try:
        listening = await Listening.start(listener, app, doors, context)
    except BaseException:
        listener.close()
        raise
    caller.followers.add(app)
    home = portal()
    home.at_close(listening.end)
    shown = f"[{host}]" if ":" in host else host
    scheme = "http" if context is None else "https"
    url = f"{scheme}://{shown}:{listener.getsockname()[1]}/v1"
    return Front(url, secret, home, listening)


class _Backend:
    """The replicas of one LMLite, for the relay; its connections are those of the loop that the front runs on."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.pool_after = caller.pool_after
        self.transport = caller.transport()

    async def pool(self) -> Pool:
        return self._caller.pool_now() or await self._caller.ready_pool()


class Listening:
    """An open port and its connections."""

    def __init__(self, server: asyncio.Server | Doorway, app: App, doors: Doors) -> None:
        self._server, self._app, self._doors = server, app, doors
        self._closed = False

    @classmethod
    async def start(
        cls, listener: socket.socket, app: App, doors: Doors, context: ssl.SSLContext | None
    ) -> Listening:
        """Begins to take connections."""
        gc.collect()
        gc.freeze()
        server: asyncio.Server | Doorway
        if context is None and sys.platform == "linux":
            listener.listen(_BACKLOG)
            server = Doorway(listener, lambda: Door(doors, app))
        else:
            server = await asyncio.get_running_loop().create_server(
                lambda: Door(doors, app), sock=listener, ssl=context, backlog=_BACKLOG
            )
        return cls(server, app, doors)

    async def close(self, grace_s: float) -> None:
        """Takes no more connections, and ends those that there are."""
        if not self._closed:
            self._closed = self._app.draining = True
            self._server.close()
            await self._doors.close(grace_s)
            gc.unfreeze()

    async def end(self) -> None:
        """The same when the process ends."""
        await self.close(0.5)


def _token(given: str | SecretStr | None) -> SecretStr:
    if given is None:
        return SecretStr(secrets.token_urlsafe(24))
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    if len(text) < _MIN_TOKEN_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        raise ArgumentInvalid(
            f"The token is no usable one: it needs at least {_MIN_TOKEN_CHARS} printable ASCII characters without "
            "spaces.",
            hint="Leave it out, and one is made up.",
            argument="token",
        )
    return SecretStr(text)


def _tls(certificate: str | Path | None, key: str | Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "tls_key" if key is None else "tls_certificate"
        raise ArgumentInvalid(
            "tls_certificate and tls_key go together.", hint=f"Give {missing}, too.", argument=missing
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ArgumentInvalid(
            f"The certificate {certificate} and the key {key} cannot be used: {error}.",
            hint="Give two PEM files that belong together; the key without a pass phrase.",
            argument="tls_certificate",
        ) from error
    return context


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ArgumentInvalid(
            f"There is no listening at {host!r}, port {port}: {error}.",
            hint='host="127.0.0.1" is this machine alone, host="0.0.0.0" all of its addresses.',
            argument="host",
        ) from error
    with contextlib.ExitStack() as undo:
        undo.callback(listener.close)
        try:
            if sys.platform != "win32":  # there it would let two listen at one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise ArgumentInvalid(
                f"Port {port} at {host} cannot be had: {error.strerror or error}.",
                hint="Give another port, or 0 for a free one.",
                argument="port",
            ) from error
        listener.setblocking(False)
        undo.pop_all()
    return listener
