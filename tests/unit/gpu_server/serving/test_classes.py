"""Interactive requests and batch rows: who goes first, who makes room, and what that costs a row."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gpu_server.serving.admission import QUIET_S, Admission
from gpu_server.serving.turn import MOST_PREEMPTIONS, QueueFull


class Time:
    """A clock, and the calls that were asked for later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay_s: float, function: Callable[[], None]) -> "Time.Handle":
        call = (self.now + delay_s, function)
        self.calls.append(call)
        return Time.Handle(self, call)

    class Handle:
        def __init__(self, time: "Time", call: tuple[float, Callable[[], None]]) -> None:
            self.time, self.call = time, call

        def cancel(self) -> None:
            if self.call in self.time.calls:
                self.time.calls.remove(self.call)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [call for call in self.calls if call[0] <= self.now]
        self.calls = [call for call in self.calls if call[0] > self.now]
        for _, function in due:
            function()


class Hall:
    """One admission with callers that stay until told to go, and a record of who entered."""

    def __init__(self, **settings: Any) -> None:
        self.time = Time()
        self.admission = Admission(
            **{"max_queue": 99, "call_later": self.time.call_later, "clock": self.time, **settings}
        )
        self.entered: list[str] = []
        self.taken_out: list[str] = []
        self.inside: set[str] = set()
        self.leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[str]] = {}

    async def arrive(self, *names: str, caller: str = "", batch: bool = False, stream: bool = False) -> None:
        for name in names:
            self.leave[name] = asyncio.Event()
            come = self._stream if stream else self._whole
            self.tasks[name] = asyncio.create_task(come(name, caller, batch))
        await settle()

    async def go(self, *names: str) -> None:
        for name in names:
            self.leave[name].set()
        await settle()

    async def end(self) -> None:
        while not all(task.done() for task in self.tasks.values()):
            self.time.advance(QUIET_S)
            await self.go(*self.tasks)
        assert (self.admission.running, self.admission.waiting, self.admission.running_batch) == (0, 0, 0)

    async def _stream(self, name: str, caller: str, batch: bool) -> str:
        async with self.admission.place(caller, batch):
            return await self._work(name)

    async def _whole(self, name: str, caller: str, batch: bool) -> str:
        return await self.admission.run(lambda: self._work(name), caller, batch)

    async def _work(self, name: str) -> str:
        self.entered.append(name)
        self.inside.add(name)
        try:
            await self.leave[name].wait()
        except asyncio.CancelledError:
            self.taken_out.append(name)
            raise
        finally:
            self.inside.discard(name)
        return name


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def scenario(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(run())


def rows(count: int) -> list[str]:
    return [f"row-{number}" for number in range(count)]


def test_interactive_requests_go_before_batch_rows_that_came_earlier() -> None:
    async def run() -> None:
        hall = Hall(concurrency=1)
        await hall.arrive("first")
        await hall.arrive(*rows(2), batch=True)
        await hall.arrive("second", "third")
        await hall.go("first", "second", "third")
        assert hall.entered == ["first", "second", "third", "row-0"]
        await hall.end()

    scenario(run)


def test_callers_of_a_class_take_turns() -> None:
    async def run() -> None:
        hall = Hall(concurrency=1)
        await hall.arrive("first")
        await hall.arrive(*(f"many-{n}" for n in range(5)), caller="many")
        await hall.arrive("one", caller="one")
        await hall.end()
        assert hall.entered[:4] == ["first", "many-0", "one", "many-1"]

    scenario(run)


def test_each_class_has_a_queue_limit_of_its_own_and_says_how_long_the_wait_is() -> None:
    async def run() -> None:
        hall = Hall(concurrency=1, max_queue=1, max_batch_queue=2)
        await hall.arrive("a", "b")
        hall.time.advance(6)
        await hall.go("a")
        await hall.arrive("c")
        await hall.arrive(*rows(2), batch=True)
        with pytest.raises(QueueFull) as refused:
            await hall.admission.run(asyncio.Event().wait)
        assert (refused.value.waiting, refused.value.wait_s) == (1, pytest.approx(2 * 6 * 0.2))
        with pytest.raises(QueueFull) as refused:
            await hall.admission.run(asyncio.Event().wait, "", True)
        assert refused.value.waiting == 2
        await hall.end()

    scenario(run)


def test_an_interactive_request_takes_the_youngest_rows_above_their_share_out_and_they_come_back_first() -> (
    None
):
    async def run() -> None:
        hall = Hall(concurrency=8, batch_share=2)
        await hall.arrive(*rows(12), batch=True)
        assert hall.admission.running == 8  # no interactive request: rows take all places
        await hall.arrive("call")
        assert hall.inside == {"row-0", "row-1", "call"}
        assert sorted(hall.taken_out) == [f"row-{n}" for n in range(2, 8)]
        assert (hall.admission.preemptions, hall.admission.waiting_batch) == (6, 10)
        await hall.go("row-0")  # its place is of the share: a row may have it
        assert hall.entered[-1] == "row-2"
        await hall.go("call")
        hall.time.advance(QUIET_S / 2)
        await settle()
        assert hall.admission.running == 2  # another call may come at any moment
        hall.time.advance(QUIET_S / 2)
        await settle()
        assert hall.admission.running == 8
        assert set(hall.entered[-6:]) == {f"row-{n}" for n in range(3, 9)}
        await hall.end()
        assert {hall.tasks[name].result() for name in rows(12)} == set(rows(12))

    scenario(run)


def test_a_row_is_taken_out_at_most_twice_and_rows_that_stay_leave_half_of_the_places_free() -> None:
    async def run() -> None:
        hall = Hall(concurrency=4, batch_share=1)
        await hall.arrive(*rows(8), batch=True)
        for number in range(6):
            await hall.arrive(f"call-{number}")
            assert f"call-{number}" in hall.inside
            await hall.go(f"call-{number}")
            hall.time.advance(QUIET_S)
            await settle()
        assert all(hall.taken_out.count(name) <= MOST_PREEMPTIONS for name in rows(8))
        assert max(hall.taken_out.count(name) for name in rows(8)) == MOST_PREEMPTIONS
        await hall.end()

    scenario(run)


def test_a_batch_stream_is_never_taken_out_and_streams_leave_half_of_the_places_free() -> None:
    async def run() -> None:
        hall = Hall(concurrency=4, batch_share=1)
        await hall.arrive(*rows(4), batch=True, stream=True)
        assert hall.inside == {"row-0", "row-1"}
        await hall.arrive("a", "b", "c")
        assert hall.inside == {"row-0", "row-1", "a", "b"}
        assert hall.taken_out == []
        await hall.end()

    scenario(run)


def test_no_row_enters_in_the_first_moments_of_an_interactive_request() -> None:
    async def run() -> None:
        hall = Hall(concurrency=4, batch_share=2, settle_s=0.5)
        await hall.arrive("first")
        await hall.arrive(*rows(3), batch=True)
        assert hall.inside == {"first"}
        hall.time.advance(0.5)
        await settle()
        assert hall.inside == {"first", "row-0", "row-1"}
        await hall.arrive("second")
        await hall.go("row-0")
        assert hall.inside == {"first", "second", "row-1"}
        await hall.go("first", "second")  # nobody is left to be disturbed
        assert hall.inside == {"row-1", "row-2"}
        await hall.end()

    scenario(run)


def test_a_model_with_one_place_gives_it_to_the_interactive_request() -> None:
    async def run() -> None:
        hall = Hall(concurrency=1, batch_share=1, max_queue=0)
        await hall.arrive("row", batch=True)
        await hall.arrive("call")
        assert hall.inside == {"call"}
        await hall.go("call")
        assert hall.inside == {"row"}
        await hall.end()

    scenario(run)


def test_a_row_that_ends_in_the_moment_in_which_it_is_taken_out_keeps_its_answer() -> None:
    async def run() -> None:
        hall = Hall(concurrency=2, batch_share=1)
        await hall.arrive(*rows(2), batch=True)
        hall.leave["row-1"].set()
        await hall.arrive("call")
        assert hall.entered.count("row-1") == 1
        assert hall.tasks["row-1"].result() == "row-1"
        assert hall.admission.waiting_batch == 0
        await hall.end()

    scenario(run)


def test_a_row_that_is_taken_out_before_it_began_begins_later() -> None:
    async def run() -> None:
        hall = Hall(concurrency=2, batch_share=1)
        for name in rows(2):  # their places are given before either runs
            hall.leave[name] = asyncio.Event()
            hall.tasks[name] = asyncio.create_task(hall._whole(name, "", True))
        hall.leave["call"] = asyncio.Event()
        hall.tasks["call"] = asyncio.create_task(hall._whole("call", "", False))
        await settle()
        assert hall.inside == {"row-0", "call"}
        await hall.end()
        assert hall.tasks["row-1"].result() == "row-1"

    scenario(run)


@pytest.mark.parametrize("when", ["running", "taken out", "waiting again"])
def test_a_row_whose_caller_leaves_is_gone(when: str) -> None:
    async def run() -> None:
        hall = Hall(concurrency=2, batch_share=1)
        await hall.arrive(*rows(2), batch=True)
        if when == "waiting again":
            await hall.arrive("call")
        elif when == "taken out":
            hall.leave["call"] = asyncio.Event()
            hall.tasks["call"] = asyncio.create_task(hall._whole("call", "", False))
            await asyncio.sleep(0)
        hall.tasks["row-1"].cancel()
        await settle()
        assert hall.tasks["row-1"].cancelled()
        assert "row-1" not in hall.inside
        assert hall.admission.waiting_batch == 0
        assert hall.admission.running == len(hall.inside)
        hall.tasks.pop("row-1")
        await hall.end()

    scenario(run)


def test_a_row_that_fails_fails_once() -> None:
    async def run() -> None:
        hall = Hall(concurrency=2, batch_share=1)
        attempts = 0

        async def broken() -> str:
            nonlocal attempts
            attempts += 1
            raise RuntimeError("broken")

        with pytest.raises(RuntimeError, match="broken"):
            await hall.admission.run(broken, "", True)
        assert (attempts, hall.admission.running) == (1, 0)

    scenario(run)


def test_closing_refuses_those_that_wait_and_those_that_come_and_leaves_those_that_run() -> None:
    async def run() -> None:
        hall = Hall(concurrency=2, batch_share=1)
        await hall.arrive(*rows(3), batch=True)
        await hall.arrive("a", "b")
        inside = {"a", "b"}
        assert hall.inside == inside
        hall.admission.close(lambda: LookupError("no engine"))
        await hall.arrive("late")
        for name in ({"a", "b", "late", *rows(3)}) - inside:
            assert isinstance(hall.tasks.pop(name).exception(), LookupError), name
        assert hall.inside == inside
        await hall.go(*inside)
        hall.admission.open()
        await hall.arrive("again")
        assert hall.inside == {"again"}
        await hall.end()

    scenario(run)


def test_closing_ends_a_window_and_a_row_that_is_taken_out_meanwhile_is_refused() -> None:
    async def run() -> None:
        held = Hall(concurrency=2, window_s=5)
        await held.arrive("a")
        held.admission.close(lambda: LookupError("no engine"))
        await settle()
        assert held.time.calls == []
        assert isinstance(held.tasks["a"].exception(), LookupError)
        hall = Hall(concurrency=3, batch_share=1)
        await hall.arrive(*rows(2), batch=True)
        hall.leave["call"] = asyncio.Event()
        hall.tasks["call"] = asyncio.create_task(hall._whole("call", "", False))
        await asyncio.sleep(0)
        hall.admission.close(lambda: LookupError("no engine"))
        await settle()
        assert isinstance(hall.tasks.pop("row-1").exception(), LookupError)
        assert hall.inside == {"row-0", "call"}
        await hall.end()

    scenario(run)


def test_a_wave_holds_interactive_requests_and_the_share_of_rows() -> None:
    async def run() -> None:
        hall = Hall(concurrency=4, batch_share=1, window_s=5)
        await hall.arrive(*rows(2), batch=True)
        await hall.arrive("call")
        assert hall.entered == []
        hall.time.advance(5)
        await settle()
        assert hall.entered == ["call", "row-0"]
        assert hall.admission.waves == 1
        await hall.end()

    scenario(run)
