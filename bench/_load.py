"""Callers that ask again as soon as they are answered, in a process of their own: raw sockets, httptools, uvloop.

So the callers are not what limits the rate: one such process asks ten times as often as what it is pointed at can
answer. Started as a program with a JSON object of the ``Load``'s fields, it prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

import httptools
import uvloop

_LATEST_S = 20.0


@dataclass(frozen=True)
class Load:
    """What to ask for.

    Attributes:
        port: On 127.0.0.1.
        token: Bearer token.
        model: Model id.
        callers: Connections.
        seconds: For how long.
        stream: Ask for streams.
    """

    port: int
    token: str
    model: str
    callers: int
    seconds: float
    stream: bool


@dataclass
class Got:
    """What came.

    Attributes:
        answers: Whole ones with status 200.
        events: Of streams.
        bad: Answers that were anything else, streams without their end included.
        lost: Connections that broke.
        seconds: How long it took.
    """

    answers: int = 0
    events: int = 0
    bad: int = 0
    lost: int = 0
    seconds: float = 0.0


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, request: bytes, got: Got) -> None:
        self.load, self.request, self.got, self.until = load, request, got, 0.0
        self.warm: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    async def warm_up(self) -> None:
        """One request that does not count: it opens the connections behind the one that is asked."""
        assert self.warm is not None
        self.ask()
        await self.warm

    def begin(self, until: float) -> None:
        self.until = until
        self.ask()

    def ask(self) -> None:
        self.done = not self.load.stream
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self.load.stream:
            self.got.events += body.count(b"data: ")
            self.done = self.done or body.endswith(b"data: [DONE]\n\n")

    def on_message_complete(self) -> None:
        if not self.done or self.parser.get_status_code() != 200:
            self.got.bad += 1
        elif self.warm is None:
            self.got.answers += 1
        if self.warm is not None:
            self.warm.set_result(None)
            self.warm = None
            return
        if time.monotonic() < self.until:
            self.ask()
        else:
            self.until = 0
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.got.lost += self.until != 0
        self.ended.set_result(None)


async def run(load: Load) -> Got:
    body = {
        "model": load.model,
        "messages": [
            {"role": "system", "content": "Classify a support message. " * 8},
            {"role": "user", "content": "Where is my order? " * 12},
        ],
        "max_tokens": 16,
        **({"stream": True} if load.stream else {}),
    }
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\n"
        f"authorization: Bearer {load.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    loop, got = asyncio.get_running_loop(), Got()
    callers = []
    for _ in range(load.callers):
        made = Caller(load, head.encode() + content, got)
        await loop.create_connection(lambda made=made: made, "127.0.0.1", load.port)
        callers.append(made)
    async with asyncio.timeout(_LATEST_S):
        await asyncio.gather(*(caller.warm_up() for caller in callers))
    got.events, begun = 0, time.monotonic()
    for caller in callers:
        caller.begin(begun + load.seconds)
    async with asyncio.timeout(load.seconds + _LATEST_S):
        await asyncio.gather(*(caller.ended for caller in callers))
    got.seconds = time.monotonic() - begun
    return got


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Load(**json.loads(sys.argv[1])))))))
