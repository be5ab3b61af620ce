"""The address under which the world reaches a pod's HTTP ports: bytes go through both ways as they come.

As the real one does, it can give up on a response that shows no byte for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
from fastapi import Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from conduit.sim.runpod.api.gate import ABORT
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.faults import PROXY

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
# Of one connection, not of the message.
_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "host"}
)  # fmt: skip


class Proxy:
    """Connections to the pods' servers."""

    def __init__(self, state: State) -> None:
        self._state = state
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=2)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=5), limits=limits, trust_env=False
        )

    async def forward(self, request: Request) -> Response:
        """``/proxy/{id}/{port}/…``."""
        pod = self._state.cloud.peek(request.path_params["id"])
        fault = self._state.faults.take(PROXY, name=None if pod is None else pod.name)
        if fault is not None:
            self._state.events.tell("fault", f"{fault.kind} at the proxy")
            if fault.kind == "cut":
                request.scope["extensions"][ABORT]()
                return Response(status_code=204)  # nobody reads it any more
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds or 0.0)
            else:
                return _page(int(fault.kind) if fault.kind.isdigit() else 502)
        if pod is None or pod.gone:
            return _page(404)
        port = pod.port(request.path_params["port"])
        if port is None:
            return _page(502)
        return await self.to(f"http://127.0.0.1:{port}/{request.path_params['path']}", request)

    async def to(self, url: str, request: Request) -> Response:
        """The answer of the server at that address."""
        cut_s = self._state.options.proxy_cut_s
        headers = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP]
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        sent = self._client.build_request(
            request.method,
            httpx.URL(url, query=request.url.query.encode() or None),
            headers=headers,
            content=request.stream() if has_body else None,
        )
        try:
            received = await asyncio.wait_for(self._client.send(sent, stream=True), cut_s)
        except TimeoutError:
            return _page(524)
        except httpx.HTTPError:
            return _page(502)
        kept = [(n, v) for n, v in received.headers.raw if n.decode().lower() not in _HOP]
        response = StreamingResponse(
            _bytes(received, cut_s, request.scope["extensions"][ABORT]), received.status_code
        )
        response.raw_headers = [(name.lower(), value) for name, value in kept]
        return response

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._client.aclose()


async def _bytes(
    received: httpx.Response, cut_s: float | None, abort: Callable[[], None]
) -> AsyncIterator[bytes]:
    try:
        parts = received.aiter_raw()
        while (part := await asyncio.wait_for(_next(parts), cut_s)) is not None:
            yield part
    except (TimeoutError, httpx.HTTPError):
        abort()  # the caller must not take it for the end
    finally:
        await received.aclose()


def _next(parts: AsyncIterator[bytes]) -> Awaitable[bytes | None]:
    return anext(parts, None)


def _page(status: int) -> Response:
    return HTMLResponse(f"<html><body><h1>Error {status}</h1></body></html>", status)
