"""Writes server-sent events as they come to be: what is ready together goes out in one write.

Awaiting the next piece of an answer either returns at once, because the piece is there, or has to wait. The events
that are ready are written in that moment and not before, so a burst of pieces costs one write, and nothing that is
ready waits for what is not.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from types import coroutine
from typing import Any, TypeVar

from starlette.types import Send

from gpu_server.errors import ApiError

T = TypeVar("T")

DONE = "data: [DONE]\n\n"


class EventStream:
    """The events of one answer.

    Args:
        send: Where they go.
        content_type: What they are.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        send: Send,
        content_type: str = "text/event-stream; charset=utf-8",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._send = send
        self._headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store"), *headers]
        self._ready: list[str] = []
        self.begun = False

    def add(self, events: str) -> None:
        """Take events; they are written at the next wait."""
        if events:
            self._ready.append(events)

    async def flush(self) -> None:
        """Write what there is. A reader that takes nothing holds the writer here."""
        if self._ready:
            await self._write(more=True)

    async def end(self) -> None:
        """Write what there is, and that there is no more."""
        await self._write(more=False)

    async def fail(self, error: ApiError) -> None:
        """End a stream that has begun with an error; OpenAI's clients raise on an event of this form."""
        self.add(f"data: {json.dumps(error.body())}\n\n")
        await self.end()

    async def _write(self, *, more: bool) -> None:
        if not self.begun:
            self.begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        data = "".join(self._ready).encode()
        self._ready.clear()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def write_all(self, items: AsyncGenerator[T, None], events: Callable[[T], str]) -> None:
        """Write the events of all items, in bursts; what is left at the end is written with what comes next.

        Args:
            items: Closed at the end, whatever the end is.
            events: Returns the events of an item.
        """
        try:
            while True:
                self.add(events(await _next(anext(items), self.flush)))
        except StopAsyncIteration:
            pass
        finally:
            await items.aclose()


@coroutine
def _next(coming: Awaitable[T], before_waiting: Callable[[], Awaitable[None]]) -> Generator[Any, Any, T]:
    """Return what is coming; when it is not there yet, do something before the wait for it."""
    step = coming.__await__()
    try:
        waits_for = step.send(None)
    except StopIteration as ready:
        value: T = ready.value
        return value
    try:
        yield from before_waiting().__await__()
    except (
        BaseException
    ) as error:  # whoever waits for the item must learn of it, as if it had been told there
        yield from _Begun(step, step.throw(error))
        raise
    result: T = yield from _Begun(step, waits_for)
    return result


class _Begun:
    """An awaitable's iterator of which the first step was taken already."""

    def __init__(self, step: Any, waits_for: Any) -> None:
        self._step = step
        self._first = [waits_for]

    def __iter__(self) -> _Begun:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._first.pop() if self._first else self._step.send(value)

    def throw(self, *error: Any) -> Any:
        self._first.clear()
        return self._step.throw(*error)
