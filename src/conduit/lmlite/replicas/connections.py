"""The connections to replicas: made when needed, kept for a while, given to one request at a time.

Own code, small, in place of a library's: with the front's work on top, aiohttp's client takes three times and httpx
fifteen times the CPU of this for one request, and everything that a program sends to its replicas goes through one
thread (``bench/lmlite_scale.py`` measures it). The parsing of HTTP is httptools' business, TLS is Python's.

Used on one event loop only.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Protocol, cast
from urllib.parse import urlsplit

from conduit.lmlite.replicas.answer import Answer, Arriving, ConnectFailed, ConnectionBroken, Reader
from conduit.lmlite.replicas.pool import Replica

CONNECT_TIMEOUT_S = 5.0
# Below the 5 s after which uvicorn closes an idle connection, so that it is seldom closed under a request.
KEEPALIVE_S = 3.0
MAX_IDLE = 1024


class Transport(Protocol):
    """Carries requests to replicas; tests put another in the place of ``Connections``."""

    async def send(
        self,
        replica: Replica,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> Answer:
        """Sends one request and waits for the head of its answer; the token is added.

        Raises:
            ConnectFailed: No connection could be made.
            ConnectionBroken: It ended before the answer began.
        """
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...


class Connections:
    """As many connections to each replica as it has requests at a time, kept for the next ones."""

    def __init__(self) -> None:
        self._idle: dict[Place, deque[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def send(
        self,
        replica: Replica,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
    ) -> Answer:
        """As ``Transport`` says."""
        place = _place(replica.url, replica.certificate)
        connection = self._take(place) or await self._connect(place)
        answer = connection.send(
            _head(place, method, path, headers, replica.token.get_secret_value(), body)
            + (body if isinstance(body, bytes) else b"")
        )
        try:
            if not isinstance(body, bytes):
                await connection.send_body(body)
            while not answer.head_done:
                await answer.more()
        except BaseException:
            answer.close()
            raise
        return answer

    async def aclose(self) -> None:
        """Closes all connections, those in use, too."""
        ended = [connection.ended for connection in self._open]
        for connection in tuple(self._open):
            connection.abort()
        if ended:
            await asyncio.wait(ended, timeout=1.0)

    def _take(self, place: Place) -> _Connection | None:
        idle = self._idle.get(place)
        if not idle:
            return None
        too_old = time.monotonic() - KEEPALIVE_S
        while idle:
            connection = idle.pop()  # the one used last, so that the others may age
            if connection.usable and connection.idle_since >= too_old:
                break
            connection.abort()
        else:
            return None
        # The other end was used longest ago; one a request keeps up with what bursts leave behind.
        if idle and idle[0].idle_since < too_old:
            idle.popleft().abort()
        return connection

    async def _connect(self, place: Place) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, place), place.host, place.port, ssl=place.tls
                )
        except TimeoutError as error:
            raise ConnectFailed(f"no connection within {CONNECT_TIMEOUT_S:g} s") from error
        except (OSError, ssl.SSLError) as error:
            raise ConnectFailed(str(error) or type(error).__name__) from error
        if place.pinned is not None and connection.certificate() != place.pinned:
            connection.abort()
            raise ConnectFailed("it shows another certificate than the one it was started with")
        return connection

    def opened(self, connection: _Connection) -> None:
        """A connection begins."""
        self._open.add(connection)

    def free(self, place: Place, connection: _Connection) -> None:
        """A connection can take another request."""
        idle = self._idle.setdefault(place, deque())
        if len(idle) >= MAX_IDLE:
            idle.popleft().abort()
        idle.append(connection)

    def lost(self, place: Place, connection: _Connection) -> None:
        """A connection has ended."""
        self._open.discard(connection)
        idle = self._idle.get(place)
        if idle and connection in idle:
            idle.remove(connection)
            if not idle:
                del self._idle[place]


class _Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, connections: Connections, place: Place) -> None:
        self._connections, self._place = connections, place
        self._transport: asyncio.Transport
        self._reader = Reader()
        self._room: asyncio.Event | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def send(self, request: bytes) -> Arriving:
        answer = Arriving(self._transport)
        self._reader.begin(answer)
        self._transport.write(request)
        return answer

    async def send_body(self, body: AsyncIterator[bytes]) -> None:
        """Sends the rest of a request, no faster than it is taken; ends early where the answer comes before."""
        answer, self._room = self._reader.answer, asyncio.Event()
        self._room.set()
        assert answer is not None
        async for data in body:
            await self._room.wait()
            if answer.head_done or not self.usable:
                return
            if data:
                self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._transport.write(b"0\r\n\r\n")

    def abort(self) -> None:
        self._transport.abort()

    def certificate(self) -> bytes | None:
        shown = self._transport.get_extra_info("ssl_object")
        return None if shown is None else cast("bytes", shown.getpeercert(binary_form=True))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._reader.feed(data)
        except ConnectionBroken as error:
            self._reader.end(error)
            self._transport.abort()
            return
        if answer.complete:
            if answer.keep_alive and self.usable:
                self.idle_since = time.monotonic()
                self._connections.free(self._place, self)
            else:
                self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        said = str(error) if error else "the connection was closed"
        self._reader.end(ConnectionBroken(said or type(error).__name__))
        self._resume()
        self._connections.lost(self._place, self)
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        if self._room is not None:
            self._room.clear()

    def resume_writing(self) -> None:
        self._resume()

    def _resume(self) -> None:
        if self._room is not None:
            self._room.set()


class Place:
    """Where a replica listens, and how it proves that it is the one.

    Attributes:
        host: Name or address.
        port: TCP.
        path: What stands before the path of each request: a replica may lie behind another server.
        tls: How to check the certificate; ``None`` for plain HTTP.
        pinned: The only certificate that counts, as DER; ``None`` for any that the system trusts.
    """

    def __init__(self, url: str, certificate: str | None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if secure else 80)
        self.authority, self.path = parts.netloc, parts.path.rstrip("/")
        self.pinned = ssl.PEM_cert_to_DER_cert(_first(certificate)) if secure and certificate else None
        self.tls = _context(certificate) if secure else None


@lru_cache(maxsize=256)
def _place(url: str, certificate: str | None) -> Place:
    return Place(url, certificate)


def _context(certificate: str | None) -> ssl.SSLContext:
    if certificate is None:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # the certificate itself is known: whatever name it bears
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


def _first(certificates: str) -> str:
    end = "-----END CERTIFICATE-----"
    return certificates[certificates.index("-----BEGIN CERTIFICATE-----") :].partition(end)[0] + end


def _head(
    place: Place,
    method: str,
    path: str,
    headers: Mapping[str, str],
    token: str,
    body: bytes | AsyncIterator[bytes],
) -> bytes:
    lines = [
        f"{method} {place.path}{path} HTTP/1.1",
        f"host: {place.authority}",
        f"authorization: Bearer {token}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}" if isinstance(body, bytes) else "transfer-encoding: chunked")
    # A line end in a value would begin a header, or a request, of its own.
    text = "\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines)
    return text.encode("latin-1", "replace") + b"\r\n\r\n"
