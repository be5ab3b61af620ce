"""One connection to a caller that may be slow, broken or hostile: limits that the web server itself does not have.

uvicorn's protocol on httptools has no limit on the head of a request, none on how slowly it comes, none on how
long a reader takes nothing, and answers bad bytes in its own form. These are here. Nothing is timed per request or
per write: one sweep a second looks at all connections. What a whole request may be is `gate`'s.
"""

from __future__ import annotations

import asyncio
import http
import json
import struct
import uuid
from collections import Counter
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gpu_server import errors
from gpu_server.access.gate import MAX_HEADER_BYTES, MAX_HEADERS
from gpu_server.settings import ServerSettings

MAX_HEAD_BYTES = 2 * MAX_HEADER_BYTES
"""Bytes of an unfinished head; a finished one that is too large gets its refusal from the gate."""
MAX_PIPELINED = 16
_SWEEP_S = 1.0
_LINGER_S = 2.0
_LINGER_BYTES = 1024 * 1024


class Connections:
    """All connections of one server, and the limits that they share.

    Args:
        settings: The limits.

    Attributes:
        turned_away: How many were refused or ended by the server, by the error's code.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.most = settings.max_connections
        self.head_timeout_s = settings.head_timeout_s
        self.write_timeout_s = settings.write_timeout_s
        self.turned_away: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._sweep_s = min(_SWEEP_S, self.head_timeout_s / 4, self.write_timeout_s / 4)
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def protocol(self) -> type[Connection]:
        """The class that uvicorn makes one of for each connection."""
        return type("ConnectionOfOneServer", (Connection,), {"all": self})

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def enter(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        """Count a new one; whether there is room for it."""
        room = len(self._open) < self.most
        self._open.add(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._sweep_s, self._sweep, loop)
        return room

    def leave(self, connection: Connection) -> None:
        """Forget one."""
        self._open.discard(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in tuple(self._open):
            connection.check(now)
        self._sweeping = loop.call_later(self._sweep_s, self._sweep, loop) if self._open else None


class Connection(HttpToolsProtocol):
    """One connection; made by uvicorn."""

    all: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False  # a request has its line from its record
        self._between = True  # no head is complete of which the body is still to come
        self._head_since: float | None = None
        self._head_bytes = 0
        self._deaf_since: float | None = None
        self._deaf_bytes = 0
        self._unsent, self._unsent_since = 0, 0.0
        self._rest_since: float | None = None

    # Streams are all that a TCP server makes, so it takes no more than those.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or turn it away when there are too many."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if not self.all.enter(self, self.loop):
            self._refuse(errors.too_many_connections(self.all.most))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.all.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits of a head."""
        if self._deaf_since is not None:
            self._deaf_bytes += len(data)
            if self._deaf_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        if self._between:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # It is answered as if it had not asked for another protocol; what follows would be in that protocol.
            if self.cycle is not None:
                self.cycle.keep_alive = False
            self._deaf_since = self.loop.time()
        except httptools.HttpParserError:
            self._refuse(errors.not_http())
        else:
            if self._between and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(errors.headers_too_large(MAX_HEADER_BYTES, MAX_HEADERS))

    def on_headers_complete(self) -> None:
        """Begin the request, unless too many wait on this connection already."""
        self._between, self._head_since, self._head_bytes = False, None, 0
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ConnectionError(f"more than {MAX_PIPELINED} requests are pipelined")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._between = True
        super().on_message_complete()

    def resume_writing(self) -> None:
        """Note that the reader takes something."""
        self._unsent = 0
        super().resume_writing()

    def check(self, now: float) -> None:
        """End the connection if it has been too slow."""
        if self._deaf_since is not None and now - self._deaf_since > _LINGER_S and self._answered:
            self.transport.abort()
            return
        if self._head_since is not None and now - self._head_since > self.all.head_timeout_s:
            self._head_since = None
            if self._head_bytes:
                self._refuse(errors.head_too_slow(self.all.head_timeout_s))
            else:
                self.transport.close()  # it was opened and never used
        if self._between or not self._answered:
            self._rest_since = None
        elif self._rest_since is None:
            self._rest_since = now
        elif now - self._rest_since > self.all.head_timeout_s:
            self.transport.abort()  # it was answered without its body, which still trickles in
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            unsent += in_kernel(self.transport)
        if not unsent or unsent < self._unsent or not self._unsent:
            self._unsent_since = now
        elif now - self._unsent_since > self.all.write_timeout_s:
            self.all.turned_away["reader_stalled"] += 1
            self.transport.abort()
        self._unsent = unsent

    @property
    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, error: errors.ApiError) -> None:
        """Tell the reason and end the connection.

        What the caller is still writing is taken in for a while, unseen: closing at once would reset the connection
        and take the reason with it.
        """
        self.all.turned_away[error.code or ""] += 1
        self._deaf_since, self._head_since = self.loop.time(), None
        if not self._answered:
            if self.cycle.response_started:  # nothing may come between the parts of an answer
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps(error.body()).encode()
        head = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": uuid.uuid4().hex,
            **error.headers,
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        status = http.HTTPStatus(error.status)
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()


def in_kernel(transport: asyncio.BaseTransport) -> int:
    """Return the bytes that the kernel holds and the caller has not taken; 0 where the kernel does not tell.

    It holds megabytes, and asks for more only when a third of them are gone: for a slow reader that may be minutes.
    """
    try:
        import fcntl
        import termios
    except ImportError:  # on Windows
        return 0
    try:
        held = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    (count,) = struct.unpack("i", held)
    return int(count)
