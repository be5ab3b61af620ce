"""Replicas that are sockets and a script: what they send, byte for byte, is the test's.

`RawReplica(script)` listens on a free port of 127.0.0.1. For each request `script(request)` yields bytes to send as
they are; `CUT` ends the connection there. `ready_pool` and the rest are what a front asks of an LMLite's calls.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self
from weakref import WeakSet

from pydantic import SecretStr

from conduit.lmlite import ModelConfig
from conduit.lmlite.config import resource_config
from conduit.lmlite.front.door import Limits
from conduit.lmlite.front.front import Front, serve
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.connections import Connections
from conduit.lmlite.replicas.pool import Pool, Replica

CUT = b"<cut>"
TOKEN = "front-token"
REPLICA_TOKEN = "replica-token"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    gone: asyncio.Event


Script = Callable[[Request], AsyncIterator[bytes]]


def whole(body: Any, status: str = "200 OK", **headers: str) -> bytes:
    content = json.dumps(body).encode()
    extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}content-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


class RawReplica:
    """One server.

    Attributes:
        requests: Those so far.
        connections: How many were opened.
        open: How many are.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script = script
        self.requests: list[Request] = []
        self.connections = self.open = 0
        self.port = 0
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                watching = asyncio.create_task(self._watch(reader, request))
                try:
                    async for data in self.script(request):
                        if data == CUT:
                            return
                        writer.write(data)
                        await writer.drain()
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
                if request.gone.is_set():
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, body, asyncio.Event())

    async def _watch(self, reader: asyncio.StreamReader, request: Request) -> None:
        try:
            if not await reader.read(1):
                request.gone.set()
        except ConnectionError:
            request.gone.set()


class Calls:
    """What a front asks of an LMLite's calls, on given replicas."""

    def __init__(self, pool: Pool, connections: Connections) -> None:
        self._pool, self._connections = pool, connections
        self.followers: WeakSet[Any] = WeakSet()
        self.starts = 0

    async def ready_pool(self) -> Pool:
        return self._pool

    async def pool_after(self, seen: Pool) -> Pool:
        self.starts += 1
        return self._pool

    def pool_now(self) -> Pool | None:
        return self._pool

    def transport(self) -> Connections:
        return self._connections


@asynccontextmanager
async def front_of(
    *replicas: RawReplica,
    models: tuple[str, ...] = ("m",),
    limits: Limits | None = None,
    timeout_s: float = 20.0,
    **options: Any,
) -> AsyncIterator[SimpleNamespace]:
    """A front before those replicas: `.front`, `.url` (without /v1), `.port`, `.headers`, `.pool`."""
    config = resource_config(
        [ModelConfig(model) for model in models], "local", replicas=max(1, len(replicas))
    )
    home = portal()

    async def make() -> tuple[Front, Pool, Connections]:
        secret = SecretStr(REPLICA_TOKEN)
        pool = Pool([Replica(f"n{number}", each.url, secret) for number, each in enumerate(replicas)])
        connections = Connections()
        front = await serve(
            Calls(pool, connections),
            config,
            timeout_s=timeout_s,
            **{"host": "127.0.0.1", "port": 0, "token": TOKEN, "tls_certificate": None, "tls_key": None}
            | options,
            limits=limits,
        )
        return front, pool, connections

    front, pool, connections = await home.acall(make)
    url = front.url.removesuffix("/v1")
    try:
        yield SimpleNamespace(
            front=front,
            url=url,
            port=int(url.rsplit(":", 1)[1]),
            headers={"authorization": f"Bearer {TOKEN}"},
            pool=pool,
        )
    finally:
        await front.aclose(grace_s=0.2)
        await home.acall(connections.aclose)
