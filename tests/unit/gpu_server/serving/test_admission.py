"""Admission: places, the queue in front of them, and the window that forms waves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gpu_server.serving.admission import Admission
from gpu_server.serving.turn import QueueFull


class Clock:
    """Keeps what `call_later` was asked; `fire` lets the time come."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay: float, function: Callable[[], None]) -> "Clock.Handle":
        call = (delay, function)
        self.calls.append(call)
        return Clock.Handle(self, call)

    class Handle:
        def __init__(self, clock: "Clock", call: tuple[float, Callable[[], None]]) -> None:
            self.clock, self.call = clock, call

        def cancel(self) -> None:
            if self.call in self.clock.calls:
                self.clock.calls.remove(self.call)

    def fire(self) -> None:
        calls, self.calls = self.calls, []
        for _, function in calls:
            function()


class Caller:
    """One request that keeps its place until told to go."""

    def __init__(self, admission: Admission, name: str, order: list[str]) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._run(admission, name, order))

    async def _run(self, admission: Admission, name: str, order: list[str]) -> None:
        async with admission.place():
            order.append(name)
            await self.leave.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def scenario(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(run())


def test_takes_no_more_than_its_places_and_serves_the_queue_in_order() -> None:
    async def run() -> None:
        admission, order = Admission(concurrency=2, max_queue=3), []
        callers = [Caller(admission, name, order) for name in "abcde"]
        await settle()
        assert (order, admission.running, admission.waiting) == (["a", "b"], 2, 3)
        callers[1].leave.set()
        await settle()
        assert (order, admission.running, admission.waiting) == (["a", "b", "c"], 2, 2)
        for caller in callers:
            caller.leave.set()
        await asyncio.gather(*(caller.task for caller in callers))
        assert order == list("abcde")
        assert (admission.running, admission.waiting) == (0, 0)

    scenario(run)


def test_refuses_beyond_the_queue_and_says_how_many_wait() -> None:
    async def run() -> None:
        admission, order = Admission(concurrency=1, max_queue=2), []
        callers = [Caller(admission, name, order) for name in "abc"]
        await settle()
        with pytest.raises(QueueFull) as refused:
            async with admission.place():
                pass
        assert refused.value.waiting == 2
        for caller in callers:
            caller.leave.set()
        await asyncio.gather(*(caller.task for caller in callers))
        async with admission.place():  # room again
            assert admission.running == 1

    scenario(run)


def test_a_cancelled_caller_leaves_the_queue_and_the_next_moves_up() -> None:
    async def run() -> None:
        admission, order = Admission(concurrency=1, max_queue=9), []
        callers = [Caller(admission, name, order) for name in "abc"]
        await settle()
        callers[1].task.cancel()
        await settle()
        assert admission.waiting == 1
        callers[0].leave.set()
        await settle()
        assert order == ["a", "c"]
        callers[2].leave.set()
        await callers[2].task

    scenario(run)


def test_a_place_given_to_a_caller_that_is_cancelled_in_the_same_moment_is_not_lost() -> None:
    async def run() -> None:
        admission, order = Admission(concurrency=1, max_queue=9), []
        first, second, third = (Caller(admission, name, order) for name in "abc")
        await settle()
        first.leave.set()
        await asyncio.sleep(0)  # the first has given its place to the second, which has not run yet
        second.task.cancel()
        await settle()
        assert order == ["a", "c"]
        third.leave.set()
        await third.task
        assert (admission.running, admission.waiting) == (0, 0)

    scenario(run)


def test_a_failure_inside_gives_the_place_back() -> None:
    async def run() -> None:
        admission = Admission(concurrency=1, max_queue=0)
        with pytest.raises(RuntimeError, match="broken"):
            async with admission.place():
                raise RuntimeError("broken")
        assert admission.running == 0

    scenario(run)


def test_an_idle_model_holds_its_first_request_until_the_window_is_over() -> None:
    async def run() -> None:
        clock, order = Clock(), []
        admission = Admission(concurrency=4, max_queue=0, window_s=1.5, call_later=clock)
        callers = [Caller(admission, name, order) for name in "ab"]
        await settle()
        assert order == []
        assert [delay for delay, _ in clock.calls] == [1.5]
        clock.fire()
        await settle()
        assert order == ["a", "b"]
        assert admission.waves == 1
        late = Caller(admission, "late", order)  # the model is busy: no window
        await settle()
        assert order == ["a", "b", "late"]
        for caller in (*callers, late):
            caller.leave.set()
        await asyncio.gather(*(caller.task for caller in (*callers, late)))
        again = Caller(admission, "again", order)  # idle again: a window again
        await settle()
        assert order[-1] == "late"
        clock.fire()
        again.leave.set()
        await again.task

    scenario(run)


def test_a_full_batch_is_released_before_the_window_is_over() -> None:
    async def run() -> None:
        clock, order = Clock(), []
        admission = Admission(concurrency=3, max_queue=1, window_s=60, call_later=clock)
        callers = [Caller(admission, name, order) for name in "abcd"]
        await settle()
        assert sorted(order) == ["a", "b", "c"]
        assert clock.calls == []
        assert admission.waiting == 1
        for caller in callers:
            caller.leave.set()
        await asyncio.gather(*(caller.task for caller in callers))

    scenario(run)


def test_a_window_whose_callers_have_all_left_is_forgotten() -> None:
    async def run() -> None:
        clock, order = Clock(), []
        admission = Admission(concurrency=3, max_queue=1, window_s=60, call_later=clock)
        caller = Caller(admission, "a", order)
        await settle()
        caller.task.cancel()
        await settle()
        assert clock.calls == []
        assert (admission.running, admission.waiting, admission.waves) == (0, 0, 0)

    scenario(run)


def test_one_place_is_never_held() -> None:
    async def run() -> None:
        clock = Clock()
        admission = Admission(concurrency=1, max_queue=0, window_s=60, call_later=clock)
        async with admission.place():
            assert clock.calls == []

    scenario(run)


def test_the_wait_for_a_place_follows_from_how_long_the_last_requests_stayed() -> None:
    async def run() -> None:
        now = 0.0
        admission = Admission(concurrency=2, max_queue=9, clock=lambda: now)
        assert admission.wait_s == 0.0
        for _ in range(40):
            async with admission.place():
                now += 3.0
        assert admission.wait_s == pytest.approx(3.0, rel=0.01)
        waiting = [asyncio.create_task(hold(admission)) for _ in range(2 + 3)]
        await settle()
        assert admission.waiting == 3
        assert admission.wait_s == pytest.approx(6.0, rel=0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def hold(admission: Admission) -> None:
        async with admission.place():
            await asyncio.Event().wait()

    scenario(run)
