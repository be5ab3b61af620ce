import asyncio
import math
import time

import pytest

from conduit.lmlite.replicas.interruption import Deadlines, Interruption


def run(story):
    return asyncio.run(asyncio.wait_for(story(), 10))


async def until_late(deadlines, deadline):
    """Waits for the deadline; returns when it came."""
    work = Interruption()
    deadlines.watch(deadline, work)
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        if not work.alone:
            raise
    finally:
        deadlines.forget(deadline, work)
        work.over()
    return time.monotonic()


def timers():
    return sum(not handle.cancelled() for handle in asyncio.get_running_loop()._scheduled)


@pytest.mark.parametrize("after_s", [-1.0, 0.0, 0.05, 0.2])
def test_late_work_ends_at_its_deadline_and_the_task_goes_on(after_s):
    async def story():
        deadlines, begun = Deadlines(), time.monotonic()
        ended = await until_late(deadlines, begun + after_s)
        assert begun + after_s <= ended < begun + 3  # of the 5 s that it would wait
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    run(story)


def test_work_due_at_one_moment_has_one_timer_and_work_that_is_over_none():
    async def story():
        deadlines, deadline = Deadlines(), time.monotonic() + 60
        before = timers()
        works = [Interruption() for _ in range(100)]
        for work in works:
            deadlines.watch(deadline, work)
        assert timers() == before + 1
        for work in works:
            deadlines.forget(deadline, work)
        assert timers() == before

    run(story)


def test_work_without_a_deadline_has_no_timer():
    async def story():
        deadlines, work, before = Deadlines(), Interruption(), timers()
        deadlines.watch(math.inf, work)
        assert timers() == before
        deadlines.forget(math.inf, work)

    run(story)


def test_work_that_ended_in_time_is_let_alone():
    async def story():
        deadlines = Deadlines()
        late = time.monotonic() + 0.05
        work, other = Interruption(), asyncio.create_task(until_late(deadlines, late))
        deadlines.watch(late, work)
        deadlines.forget(late, work)
        work.over()
        await other
        await asyncio.sleep(0.05)

    run(story)


def test_who_cancels_the_task_is_heard_whether_before_the_deadline_or_with_it():
    async def story():
        deadlines = Deadlines()
        for after_s in (60, 0.05):
            task = asyncio.create_task(until_late(deadlines, time.monotonic() + after_s))
            await asyncio.sleep(0)
            if after_s < 1:
                time.sleep(0.1)  # noqa: ASYNC251 - so that both fall into one turn of the loop
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(story)


def test_of_two_that_end_one_task_the_inner_is_no_excuse_for_the_outer():
    async def story():
        outer = Interruption()
        inner = Interruption()
        outer.cancel()
        inner.cancel()
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            assert not inner.alone
            inner.over()
            assert outer.alone
            outer.over()
        assert asyncio.current_task().cancelling() == 0

    run(story)
