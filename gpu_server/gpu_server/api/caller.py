"""The work on a request ends when its caller leaves, wherever it is: in the queue or in the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpu_server.access.record import CALLER_LEFT, RequestRecord

T = TypeVar("T")


class CallerLeft(Exception):
    """The connection closed before the answer was whole."""


async def unless_caller_leaves(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it, and wait for its end, when the connection closes.

    Raises:
        CallerLeft: It closed first.
    """
    working = asyncio.current_task()
    assert working is not None
    left = False

    async def watch() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if left and not working.uncancel():
            raise CallerLeft from None
        raise
    finally:
        watching.cancel()


class Answering(Response):
    """An answer at work; an ASGI response because it writes itself, at once or as it goes.

    Args:
        record: Told when the caller leaves.
        work: Writes the answer; cancelled when the caller leaves.
    """

    def __init__(self, record: RequestRecord, work: Callable[[Send], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._record = record
        self._work = work

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Write the answer, unless the caller leaves first."""
        try:
            await unless_caller_leaves(receive, self._work(send))
        except CallerLeft:
            self._record.status = CALLER_LEFT


async def write_json(send: Send, body: object) -> None:
    """Write a whole answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
