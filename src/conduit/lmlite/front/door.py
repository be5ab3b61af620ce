"""One connection of a caller, who may be slow, broken or gone: HTTP/1.1 on httptools, with limits.

Heads have a size and a time, readers that take nothing are let go, there is a most of connections, and a request
learns at once that its caller left. Nothing is timed per request or per write: a sweep every second looks at all.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import httptools

from conduit.lmlite.front.refusals import Refusal, refuse
from conduit.lmlite.front.request import Request

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


class Door(asyncio.Protocol):
    """One connection.

    Args:
        doors: All of them.
        serve: Answers one request.

    Attributes:
        gone: Nobody waits for an answer any more.
    """

    def __init__(self, doors: Doors, serve: Callable[[Door, Request], Coroutine[Any, Any, None]]) -> None:
        self._doors, self._serve = doors, serve
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # What comes after the last request is dropped; it must not end the answer to that.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._heading = True  # between requests, or within a head
        self._head_since: float | None = None
        self._head_bytes = 0
        self._body_since: float | None = None
        self._paused_since: float | None = None
        self._deaf_since: float | None = None
        self._deaf_bytes = 0
        self._idle_since: float | None = None
        self._url, self._header_bytes = b"", 0
        self._request: Request  # the one that comes
        self._answering: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = False  # its answer
        self._last = False  # no other request is answered on this connection
        self._waiting: deque[Request] = deque()
        self._room: asyncio.Event | None = None
        self.transport: asyncio.Transport
        self.gone = False

    # What an answer needs.

    @property
    def keeps(self) -> bool:
        """Whether the connection stays after this answer."""
        return not self._last

    async def room(self) -> None:
        """Waits until the caller has taken what was written."""
        if self._room is not None:
            await self._room.wait()

    def write(self, data: bytes) -> None:
        """Writes a part of the answer."""
        if not self._over:
            self._started = True
            self.transport.write(data)

    def answered(self) -> None:
        """All of the answer was written: the next request may begin."""
        if self._over or self._answering is None:
            return
        self._answering.leave()  # should more of it come
        self._answering = None
        if self._last:
            self.transport.close()
        elif self._waiting:
            self._start(self._waiting.popleft())
        else:
            self._idle_since = self._loop.time()
        self._read_on()

    def break_off(self) -> None:
        """Ends the connection without ending the answer, so that nobody takes it for whole."""
        self.transport.close()

    # What all connections of a front need.

    def shutdown(self) -> None:
        """Lets the request that runs end, and no other begin."""
        self._last = True
        if self._answering is None:
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
        elif self._idle_since is not None and now - self._idle_since > limits.keep_alive_s:
            self.transport.close()

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._head_since = self._loop.time()
        if not self._doors.enter(self):
            most = self._doors.limits.connections
            self._refuse(Refusal(503, f"All {most} connections are taken.", code="too_many_connections"))

    def connection_lost(self, _: Exception | None) -> None:
        self._leave()
        self._doors.leave(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf_since is not None:
            self._deaf_bytes += len(data)
            if self._deaf_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        self._idle_since = None
        if self._heading:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(Refusal(400, "This is no HTTP request that can be served here.", code="not_http"))
        else:
            if self._heading and self._head_bytes > self._doors.limits.head_bytes:
                self._refuse(self._head_too_large())

    def pause_writing(self) -> None:
        self._paused_since, self._room = self._loop.time(), asyncio.Event()

    def resume_writing(self) -> None:
        self._paused_since = None
        if self._room is not None:
            self._room.set()
            self._room = None

    # What the parser finds.

    def on_message_begin(self) -> None:
        self._url, self._header_bytes = b"", 0
        self._request = Request(self._read_on)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        self._request.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        request, limits = self._request, self._doors.limits
        too_large = len(self._url) + self._header_bytes > limits.head_bytes
        self._heading, self._head_since, self._head_bytes = False, None, 0
        if too_large or len(self._waiting) >= _MAX_PIPELINED:
            raise ConnectionError("a head too large, or too many requests on one connection")
        self._body_since = self._loop.time()
        url = self._url
        if not url.startswith(b"/"):
            parts = httptools.parse_url(url)
            url = parts.path + (b"?" + parts.query if parts.query else b"")
        request.target = url.decode("ascii")
        path = request.target.partition("?")[0]
        request.path = urllib.parse.unquote(path) if "%" in path else path
        request.method = self._parser.get_method().decode("ascii")
        request.chunks = self._parser.get_http_version() != "1.0"
        request.keep_alive = request.chunks and self._parser.should_keep_alive()
        if self._answering is None:
            self._start(request)
        else:
            self._waiting.append(request)
            self.transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        if self._url.startswith(b"/v1/batch"):
            self._body_since = self._loop.time()  # large ones take their time, as long as they come
        self._request.feed(body)
        if self._request.full:
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        self._heading, self._body_since = True, None
        self._request.end()

    @property
    def _over(self) -> bool:
        return self.gone or self.transport.is_closing()

    def _start(self, request: Request) -> None:
        self._answering, self._started = request, False
        self._last = self._last or not request.keep_alive
        if request.headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._task = self._loop.create_task(self._serve(self, request))

    def _read_on(self) -> None:
        if not self._waiting and not self.transport.is_closing():
            self.transport.resume_reading()

    def _leave(self) -> None:
        """Ends the request that runs, since nobody waits for its answer."""
        self.gone = True
        self._waiting.clear()
        if self._answering is not None and self._task is not None:
            self._answering.leave()
            self._task.cancel()

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
        self._deaf_since, self._head_since, self._body_since = self._loop.time(), None, None
        under_way = self._answering is not None and self._started
        self._leave()
        if not under_way:
            self.transport.write(refuse(refusal))
            if self.transport.can_write_eof():
                self.transport.write_eof()
                return
        self.transport.close()
