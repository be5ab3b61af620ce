import asyncio
import gc
import threading
import weakref
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import pytest

from conduit import leash
from conduit.lmlite.crossing import Crossings

VARIABLE = ContextVar("variable", default="unset")


class Counting(asyncio.SelectorEventLoop):
    """Counts how often another thread wakes it."""

    woken = 0

    def call_soon_threadsafe(self, *args, **more):
        self.woken += 1
        return super().call_soon_threadsafe(*args, **more)


@contextmanager
def home():
    """A loop in a thread of its own; what still runs there at the end is cancelled, as by ``asyncio.run``."""
    loop, started, stop = Counting(), threading.Event(), asyncio.Event()

    async def main():
        started.set()
        await stop.wait()

    def run():
        with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(5)
    try:
        yield loop
    finally:
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        assert not thread.is_alive()


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


def test_calls_of_one_turn_wake_the_other_loop_together():
    with home() as loop:
        crossings = Crossings(loop)

        async def ask():
            own = asyncio.get_running_loop()
            answers = await asyncio.gather(*(crossings.call(double(number)) for number in range(200)))
            return answers, own.woken

        loop.woken = 0
        with asyncio.Runner(loop_factory=Counting) as runner:
            answers, woken = runner.run(ask())
        assert answers == [2 * number for number in range(200)]
        assert loop.woken < 20
        assert woken < 20


def test_callers_in_many_threads_each_get_their_own():
    with home() as loop:
        crossings, got = Crossings(loop), {}

        async def ask(base):
            return [await crossings.call(double(base + step)) for step in range(50)]

        threads = [
            threading.Thread(target=lambda base=base: got.update({base: asyncio.run(ask(base))}))
            for base in range(0, 800, 100)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert got == {base: [2 * (base + step) for step in range(50)] for base in range(0, 800, 100)}


def test_the_work_sees_the_callers_context_and_its_errors_come_back():
    async def read():
        return VARIABLE.get()

    async def fails():
        raise ValueError("no")

    async def ask(crossings):
        VARIABLE.set("set")
        assert await crossings.call(read()) == "set"
        with pytest.raises(ValueError, match="no"):
            await crossings.call(fails())

    with home() as loop:
        asyncio.run(ask(Crossings(loop)))


@pytest.mark.parametrize("turns", range(4))
def test_a_caller_that_leaves_ends_the_work_however_far_it_is(turns):
    begun, ended = threading.Event(), threading.Event()

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def ask(crossings):
        async def call():
            await crossings.call(work())

        task = asyncio.create_task(call())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await crossings.call(double(1))  # all that was sent before has arrived
        assert ended.is_set() == begun.is_set()

    with home() as loop:
        asyncio.run(ask(Crossings(loop)))


def test_a_leash_that_is_cut_elsewhere_ends_work_and_wait():
    ended, held = threading.Event(), leash.Leash()

    async def work():
        threading.Timer(0.05, held.cut).start()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def ask(crossings):
        with held.on(), pytest.raises(asyncio.CancelledError):
            await crossings.call(work())

    with home() as loop:
        asyncio.run(ask(Crossings(loop)))
        assert ended.wait(5)


def test_a_loop_that_has_ended_is_said_at_once():
    with home() as loop:
        crossings = Crossings(loop)

    async def ask():
        with pytest.raises(RuntimeError, match="has ended"):
            await crossings.call(double(1))

    asyncio.run(asyncio.wait_for(ask(), 5))


def test_a_call_under_way_ends_with_the_loop_that_runs_it():
    async def ask(crossings):
        async def work():
            for task in asyncio.all_tasks():
                task.cancel()  # the loop's main task as well
            await asyncio.sleep(60)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(crossings.call(work()), 10)

    with home() as loop:
        asyncio.run(ask(Crossings(loop)))


def test_loops_that_called_are_not_kept():
    with home() as loop:
        crossings = Crossings(loop)

        async def ask():
            await crossings.call(double(1))
            return weakref.ref(asyncio.get_running_loop())

        called = asyncio.run(ask())
        gc.collect()
        assert called() is None
