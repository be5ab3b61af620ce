"""Events on their way to a slow reader: few in memory, all in order, nothing left behind when it leaves."""

import asyncio
import gc
import threading
import time
import weakref
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.errors import NoReplica
from conduit.lmlite.calls import streams
from conduit.lmlite.calls.handover import ROOM, Handover
from conduit.lmlite.portal import portal


class Writer:
    """Work that hands out numbers; tells how far it got and how it ended."""

    def __init__(self, count, pause=None):
        self.count, self.pause = count, pause
        self.written = 0
        self.ended = threading.Event()

    async def __call__(self, emit):
        try:
            for number in range(self.count):
                await emit(number)
                self.written = number + 1
                if self.pause is not None:
                    await self.pause()
        finally:
            self.ended.set()


async def read(stream, look):
    async for number in stream:
        await asyncio.sleep(0)
        look(number)


@pytest.mark.parametrize("form", ["events", "aevents"])
def test_a_slow_reader_gets_all_in_order_and_the_writer_is_never_far_ahead(form):
    writer, seen, ahead = Writer(5_000), [], []

    def look(number):
        seen.append(number)
        ahead.append(writer.written - number)
        if number % 500 == 0:
            time.sleep(0.01)  # long enough for the writer to run away, if it could

    if form == "events":
        for number in streams.events(writer):
            look(number)
    else:
        asyncio.run(read(streams.aevents(writer), look))
    assert seen == list(range(5_000))
    assert max(ahead) <= 2 * ROOM


def test_a_reader_that_stops_stops_the_writer():
    async def turns():
        for _ in range(1_000):
            await asyncio.sleep(0)

    writer = Writer(100_000)
    stream = streams.events(writer)
    next(stream)
    portal().call(turns)
    stopped_at = writer.written
    portal().call(turns)
    assert ROOM <= writer.written == stopped_at <= 2 * ROOM
    stream.close()
    assert writer.ended.wait(10)


@pytest.mark.parametrize("form", ["events", "aevents"])
@pytest.mark.parametrize("after", [1, ROOM + 10])
def test_closing_ends_a_writer_that_writes_or_waits(form, after):
    writer = Writer(100_000)

    async def leave():
        stream = streams.aevents(writer)
        for _ in range(after):
            await anext(stream)
        await stream.aclose()

    if form == "events":
        stream = streams.events(writer)
        for _ in range(after):
            next(stream)
        stream.close()
    else:
        asyncio.run(leave())
    assert writer.ended.wait(10)


def test_a_reader_whose_loop_is_closed_under_it_ends_the_writer():
    writer = Writer(100_000, pause=lambda: asyncio.sleep(0.001))
    stream = streams.aevents(writer)
    loop = asyncio.new_event_loop()
    reading = loop.create_task(read(stream, lambda _: None))
    loop.run_until_complete(asyncio.sleep(0.02))  # it reads, and waits for more
    reading._log_destroy_pending = False
    loop.close()
    assert writer.ended.wait(10)


def test_a_reader_that_is_forgotten_ends_the_writer():
    writer = Writer(100_000)
    stream = streams.events(writer)
    next(stream)
    kept = weakref.ref(stream)
    del stream
    gc.collect()
    assert kept() is None
    assert writer.ended.wait(10)


def test_the_error_comes_after_all_that_was_written_before_it():
    async def work(emit):
        for number in range(ROOM * 3):
            await emit(number)
        raise NoReplica("gone")

    seen = []
    with pytest.raises(NoReplica, match="gone"):
        deque(map(seen.append, streams.events(work)))
    assert seen == list(range(ROOM * 3))


def test_a_reader_is_woken_once_for_many_events():
    wakes = []

    async def write():
        handed = Handover(lambda: wakes.append(None))
        assert handed.take() == []  # it waits now
        for number in range(100):
            await handed.put(number)
        return handed

    handed = asyncio.run(write())
    assert len(wakes) == 1
    assert handed.take() == list(range(100))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(1, 5), st.lists(st.integers(0, 3), max_size=60))
def test_nothing_is_lost_doubled_or_left_waiting_whatever_the_order(room, writers, pauses):
    """Several writers and one reader that each give way at any time."""

    async def scene():
        come = asyncio.Event()
        handed = Handover(come.set, room)
        turns = iter(pauses)

        async def write(name):
            for number in range(10):
                for _ in range(next(turns, 0)):
                    await asyncio.sleep(0)
                await handed.put((name, number))
                assert len(handed._events) <= room

        async def all_written():
            await asyncio.gather(*(write(name) for name in range(writers)))
            handed.end()

        task, seen = asyncio.create_task(all_written()), []
        while (taken := handed.take()) is not None:
            if not taken:
                await asyncio.wait_for(come.wait(), 5)
                come.clear()
            seen += taken
            for _ in range(next(turns, 0)):
                await asyncio.sleep(0)
        await task
        return seen

    seen = asyncio.run(scene())
    assert len(seen) == writers * 10
    for name in range(writers):
        assert [number for who, number in seen if who == name] == list(range(10))
