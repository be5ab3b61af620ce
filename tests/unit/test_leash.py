"""Leashes: what is held ends when its leash is cut, in whichever thread it waits, and nothing new begins."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

import anyio
import pytest

from conduit import block, leash
from conduit.dataflow import mapping
from conduit.dataflow.mapping.items import thread_slots
from conduit.leash import Leash
from conduit.lmlite.portal import portal


async def forever(begun: threading.Event, ended: threading.Event) -> None:
    begun.set()
    try:
        await anyio.sleep_forever()
    finally:
        ended.set()


def test_calls_that_wait_in_threads_end_on_the_portal_too() -> None:
    held, begun, ended = Leash(), threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with held.on():
            waiting = pool.submit(copy_context().run, portal().call, forever, begun, ended)
        assert begun.wait(20)
        held.cut()
        with pytest.raises(asyncio.CancelledError):
            waiting.result(20)
    assert ended.wait(20)


def test_coroutines_of_other_loops_end_as_well() -> None:
    held, begun, ended = Leash(), threading.Event(), threading.Event()

    async def work() -> None:
        with held.on():
            await portal().acall(forever, begun, ended)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asyncio.run, work())
        assert begun.wait(20)
        held.cut()
        with pytest.raises(asyncio.CancelledError):
            waiting.result(20)
    assert ended.wait(20)


def test_nothing_begins_on_a_cut_leash() -> None:
    held, begun = Leash(), threading.Event()
    held.cut()
    with held.on():
        with pytest.raises(asyncio.CancelledError):
            portal().call(forever, begun, threading.Event())
        with pytest.raises(asyncio.CancelledError):
            leash.check()
    leash.check()
    assert not begun.is_set()


@pytest.mark.parametrize("cut", ["inner", "outer"])
def test_either_of_two_leashes_ends_what_both_hold(cut: str) -> None:
    leashes = {"outer": Leash(), "inner": Leash()}
    ended: list[str] = []
    with leashes["outer"].on(), leashes["inner"].on(), leash.held(lambda: ended.append(cut)):
        leashes[cut].cut()
        assert ended == [cut]


def test_a_call_that_has_ended_is_let_go() -> None:
    held, ended = Leash(), list[int]()
    with held.on(), leash.held(lambda: ended.append(1)):
        pass
    held.cut()
    assert ended == []


def test_a_pause_before_a_retry_ends_with_its_leash() -> None:
    held, calls = Leash(), list[int]()

    @block(retries=1, retry_delay_s=600)
    def flaky() -> None:
        calls.append(1)
        raise OSError

    with ThreadPoolExecutor(1) as pool:
        with held.on():
            waiting = pool.submit(copy_context().run, flaky)
        _until(lambda: bool(calls))
        held.cut()
        with pytest.raises(asyncio.CancelledError):
            waiting.result(20)
    assert calls == [1]


def test_an_interrupted_map_begins_no_further_item_and_waits_for_none() -> None:
    begun = threading.Event()

    @block
    def wait(number: int) -> int:
        begun.set()
        portal().call(forever, threading.Event(), threading.Event())
        return number

    work = mapping.job(wait, range(100), {}, concurrency=4)
    running: list[Future[int]] = []

    def interrupted() -> None:
        with thread_slots(work):
            assert isinstance(work.slots, ThreadPoolExecutor)
            running.extend(work.slots.submit(copy_context().run, wait, number) for number in range(100))
            assert begun.wait(20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(future.done() for future in running)
    assert sum(future.cancelled() for future in running) >= 90


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
