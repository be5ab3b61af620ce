"""One connection of a caller, who may be slow, broken or gone: what uvicorn's protocol does not limit by itself.

Heads have a size and a time, readers that take nothing are let go, there is a most of connections, and a request
learns at once that its caller left. Nothing is timed per request or per write: a sweep every second looks at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from conduit.lmlite.front.refusals import Refusal, refuse

_log = logging.getLogger(__name__)

_SWEEP_S = 1.0
_LINGER_S, _LINGER_BYTES = 2.0, 1024 * 1024
_MAX_PIPELINED = 16


@dataclass(frozen=True)
class Limits:
    """What callers may do.

    Attributes:
        head_bytes: Largest head of a request.
        head_s: Longest time for a head, from the opening of the connection or its first byte.
        body_bytes: Largest body, a batch's excepted.
        body_s: Longest time for a body.
        stalled_s: How long a reader of an answer may take nothing.
        connections: Most at a time.
        keep_alive_s: How long a connection without a request stays open.
    """

    head_bytes: int = 64 * 1024
    head_s: float = 10.0
    body_bytes: int = 16 * 1024 * 1024
    body_s: float = 30.0
    stalled_s: float = 60.0
    connections: int = 4096
    keep_alive_s: int = 30


class Doors:
    """All connections of one front."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: set[Door] = set()
        self.ended = asyncio.Event()
        self._sweeping: asyncio.TimerHandle | None = None

    def enter(self, door: Door) -> bool:
        """Counts a new one; whether there is room for it."""
        self.open.add(door)
        self.ended.clear()
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        return len(self.open) <= self.limits.connections

    def leave(self, door: Door) -> None:
        """Forgets one."""
        self.open.discard(door)
        if not self.open:
            self.ended.set()

    async def close(self, grace_s: float) -> None:
        """Lets what runs end within the time, and ends all connections."""
        for door in tuple(self.open):
            door.shutdown()
        if self.open:
            try:
                async with asyncio.timeout(grace_s):
                    await self.ended.wait()
            except TimeoutError:
                _log.warning(
                    "%d connections were still busy after %g s and were cut", len(self.open), grace_s
                )
        for door in tuple(self.open):
            door.transport.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self.open:
            await self.ended.wait()  # the loop tells each connection that it has ended

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for door in tuple(self.open):
            door.check(now)
        self._sweeping = loop.call_later(_SWEEP_S, self._sweep) if self.open else None


class Door(HttpToolsProtocol):
    """One connection.

    Attributes:
        on_leave: Called when the caller leaves; set by the request that runs.
        gone: The caller has left.
    """

    def __init__(self, doors: Doors, *args: Any) -> None:
        super().__init__(*args)
        self._doors = doors
        self._heading = True  # between requests, or within a head
        self._head_since: float | None = None
        self._head_bytes = 0
        self._body_since: float | None = None
        self._paused_since: float | None = None
        self._deaf_since: float | None = None
        self._deaf_bytes = 0
        self.on_leave: Callable[[], object] | None = None
        self.gone = False

    def break_off(self) -> None:
        """Ends the connection without ending the answer, so that nobody takes it for whole."""
        self.cycle.disconnected = True
        self.transport.close()

    def check(self, now: float) -> None:
        """Ends the connection if its other side is too slow."""
        limits = self._doors.limits
        if self._deaf_since is not None:
            if now - self._deaf_since > _LINGER_S:
                self.transport.abort()
        elif self._head_since is not None and now - self._head_since > limits.head_s:
            if self._head_bytes:
                said = f"The head of the request was not complete within {limits.head_s:g} s."
                self._refuse(Refusal(408, said, code="head_too_slow"))
            else:
                self.transport.close()
        elif self._body_since is not None and now - self._body_since > limits.body_s:
            said = f"The body of the request was not complete within {limits.body_s:g} s."
            self._refuse(Refusal(408, said, code="body_too_slow"))
        elif self._paused_since is not None and now - self._paused_since > limits.stalled_s:
            _log.warning("a caller took nothing of its answer for %g s: let go", limits.stalled_s)
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if not self._doors.enter(self):
            most = self._doors.limits.connections
            self._refuse(Refusal(503, f"All {most} connections are taken.", code="too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        super().connection_lost(exc)
        if self.on_leave is not None:
            self.on_leave()
        self._doors.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf_since is not None:
            self._deaf_bytes += len(data)
            if self._deaf_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._heading:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = self.loop.time()
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ConnectionError):
            self._refuse(Refusal(400, "This is no HTTP request that can be served here.", code="not_http"))
        else:
            if self._heading and self._head_bytes > self._doors.limits.head_bytes:
                self._refuse(self._head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["conduit.door"] = self  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        too_large = (
            self._head_bytes > self._doors.limits.head_bytes and self._size() > self._doors.limits.head_bytes
        )
        self._heading, self._head_since, self._head_bytes = False, None, 0
        if too_large or len(self.pipeline) >= _MAX_PIPELINED:
            raise ConnectionError("a head too large, or too many requests on one connection")
        self._body_since = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.url.startswith(b"/v1/batch"):
            self._body_since = self.loop.time()  # large ones take their time, as long as they come
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._heading, self._body_since = True, None
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _head_too_large(self) -> Refusal:
        return Refusal(
            431,
            f"The head of the request is longer than {self._doors.limits.head_bytes} bytes.",
            code="headers_too_large",
        )

    def _refuse(self, refusal: Refusal) -> None:
        """Tells the reason, unless an answer is under way, and ends the connection.

        What the caller still writes is taken in for a while, unseen: closing at once would reset the connection and
        take the reason with it.
        """
        self._deaf_since, self._head_since, self._body_since = self.loop.time(), None, None
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(refuse(refusal))
            if self.transport.can_write_eof():
                self.transport.write_eof()
                return
        self.transport.close()
