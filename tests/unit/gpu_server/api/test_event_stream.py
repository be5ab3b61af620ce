"""Events: written in bursts, at the moment of the wait; stopped by the reader, whatever the writer is doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gpu_server.api.event_stream import EventStream


class Reader:
    """Takes what is sent; can stop taking."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.takes = asyncio.Event()
        self.takes.set()

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        if message["type"] == "http.response.body":
            self.writes.append(message["body"])


def test_what_is_ready_together_is_one_write_and_nothing_ready_waits() -> None:
    async def run() -> None:
        reader = Reader()
        more = asyncio.Event()

        async def pieces() -> AsyncGenerator[str, None]:
            for piece in ("a", "b", "c"):
                yield piece
            await more.wait()
            for piece in ("d", "e"):
                yield piece

        stream = EventStream(reader.send)
        writing = asyncio.create_task(stream.write_all(pieces(), str))
        await asyncio.sleep(0)
        assert reader.writes == [b"abc"]
        more.set()
        await writing
        stream.add("!")
        await stream.end()
        assert reader.writes == [b"abc", b"de!"]

    asyncio.run(run())


@pytest.mark.parametrize("where", ["waiting for a piece", "writing"])
def test_a_cancelled_stream_ends_its_source(where: str) -> None:
    async def run() -> None:
        reader = Reader()
        told: list[str] = []

        async def pieces() -> AsyncGenerator[str, None]:
            try:
                yield "a"
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # letting go takes a while
                told.append("cancelled")
                raise
            finally:
                told.append("closed")

        if where == "writing":
            reader.takes.clear()
        writing = asyncio.create_task(EventStream(reader.send).write_all(pieces(), str))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert told == ["cancelled", "closed"]

    asyncio.run(run())


def test_what_the_source_raises_comes_through_after_what_it_gave() -> None:
    async def run() -> None:
        reader = Reader()

        async def pieces() -> AsyncGenerator[str, None]:
            yield "a"
            await asyncio.sleep(0)
            raise ValueError("broke")

        stream = EventStream(reader.send)
        with pytest.raises(ValueError, match="broke"):
            await stream.write_all(pieces(), str)
        assert reader.writes == [b"a"]

    asyncio.run(run())


def test_a_reader_that_takes_nothing_holds_the_source() -> None:
    async def run() -> None:
        reader = Reader()
        given: list[int] = []

        async def pieces() -> AsyncGenerator[str, None]:
            for number in range(100):
                given.append(number)
                yield str(number)
                await asyncio.sleep(0)

        reader.takes.clear()
        writing = asyncio.create_task(EventStream(reader.send).write_all(pieces(), str))
        for _ in range(50):
            await asyncio.sleep(0)
        assert given == [0]
        reader.takes.set()
        await writing
        assert b"".join(reader.writes).startswith(b"0123")

    asyncio.run(run())
