"""An httpx transport for many requests at a time: one connection a lane, lanes taken from a stack.

httpx's own pool looks at every one of its connections for every request, so that a hundred at once cost
milliseconds of CPU each. Here each lane is httpx's transport with a single connection, and finding a free one is
a pop. What goes over a connection is still httpx's business.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

import httpx

# Below the 5 s after which uvicorn closes an idle connection, so that it is seldom closed under a request.
KEEPALIVE_S = 3.0

Origin = tuple[str, str, int | None]


class Lanes(httpx.AsyncBaseTransport):
    """As many connections as there are requests at a time, kept for the next ones."""

    def __init__(self) -> None:
        self._ssl = ssl.create_default_context()
        self._idle: dict[Origin, deque[tuple[float, httpx.AsyncHTTPTransport]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request over a free connection, or a new one."""
        origin = request.url.scheme, request.url.host, request.url.port
        idle = self._idle.setdefault(origin, deque())
        lane = idle.pop()[1] if idle else self._new()

        def free() -> None:
            idle.append((time.monotonic(), lane))

        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            free()  # the transport has closed the connection and opens another
            raise
        await self._close_old(idle)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Stream(response.stream, free),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Closes all idle connections; those in use are closed by who reads them."""
        for idle in self._idle.values():
            while idle:
                await idle.pop()[1].aclose()

    def _new(self) -> httpx.AsyncHTTPTransport:
        # Without the environment's proxies: they would be asked for 127.0.0.1.
        limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_S)
        return httpx.AsyncHTTPTransport(verify=self._ssl, trust_env=False, limits=limits)

    async def _close_old(self, idle: deque[tuple[float, httpx.AsyncHTTPTransport]]) -> None:
        # The stack's bottom was used longest ago; one a request keeps up with what bursts leave behind.
        if idle and idle[0][0] < time.monotonic() - KEEPALIVE_S:
            await idle.popleft()[1].aclose()


class _Stream(httpx.AsyncByteStream):
    """A body that frees its lane when it has been read or given up."""

    def __init__(self, body: httpx.AsyncByteStream, free: Callable[[], None]) -> None:
        self._body, self._free = body, free
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            try:
                await self._body.aclose()
            finally:
                self._free()
