"""A replica's server without a model, as fast as Python can be: what stands before it is measured, not it.

It speaks the routes of gpu_server that a router or a front asks for, and answers each chat request with the same
words at once: whole, or in 64 events of which each is written by itself. Started as a program with a port (0 for a
free one), it prints the port and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import httptools
import uvloop

MODEL = "conduit/tiny"
PIECES = 64


def _json(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    event = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
    }
    return _chunk(b"data: " + json.dumps(event).encode() + b"\n\n")


_USAGE = {"prompt_tokens": 12, "completion_tokens": 16, "total_tokens": 28}
_MESSAGE = {"role": "assistant", "content": "word " * 16}
WHOLE = _json(
    {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
)
_MODEL_STATE = {
    "model_id": MODEL,
    "state": "ready",
    "reason": None,
    "running": 0,
    "waiting": 0,
    "progress": 1,
}
# `status` and `data` are what sglang-router looks for on its own paths.
ABOUT = _json(
    {"ready": True, "draining": False, "models": [_MODEL_STATE], "status": "ok", "data": [{"id": MODEL}]}
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = _event({"content": "word "}, None)
END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class StandIn(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.url, self.body = b"", [b""]
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        # A router's probe may ask for HTTP/2; it takes the refusal and comes back.
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.body = b"", []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        if not self.url.startswith(b"/v1/chat/"):
            self.transport.write(ABOUT)
        elif b'"stream":true' in b"".join(self.body):
            self.transport.write(HEAD)
            self.loop.call_soon(self.go_on, PIECES)
        else:
            self.transport.write(WHOLE)

    def go_on(self, left: int) -> None:
        # One event a turn of the loop: so each is a write of its own, as tokens are.
        if self.transport.is_closing():
            return
        self.transport.write(PIECE if left else END)
        if left:
            self.loop.call_soon(self.go_on, left - 1)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(StandIn, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main())
