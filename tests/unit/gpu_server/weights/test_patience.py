"""How long a download is tried, on a clock that the test moves."""

import asyncio

import pytest

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import Progress
from gpu_server.weights.patience import LONGEST_PAUSE_S, Patience, TryAgain


class Clock:
    def __init__(self, progress):
        self.began = self.now = progress.moved_at
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    progress = Progress()
    clock = Clock(progress)
    clock.progress = progress
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


def patience(clock, limit_s=600.0):
    return Patience(clock.progress, limit_s, clock=clock)


def test_pauses_grow_and_have_a_bound(clock):
    tries = patience(clock, 1e6)
    for failures in range(1, 12):
        asyncio.run(tries.pause(TryAgain("503"), failures))
    assert clock.slept[0] <= 1
    assert clock.slept[4] >= 8
    assert max(clock.slept) <= LONGEST_PAUSE_S


def test_the_hubs_own_wish_is_the_least(clock):
    asyncio.run(patience(clock).pause(TryAgain("429", 90), 1))
    assert 90 <= clock.slept[0] <= 99


def test_it_ends_before_the_limit_is_passed_and_says_why(clock):
    tries = patience(clock, 100)

    async def for_ever():
        for failures in range(1, 1000):
            await tries.pause(TryAgain("503"), failures)

    with pytest.raises(LoadError, match=r"past startup_timeout_s=100: 503\. What is there is kept"):
        asyncio.run(for_ever())
    assert len(clock.slept) > 3
    assert sum(clock.slept) <= 100


def test_bytes_that_arrive_begin_the_time_anew(clock):
    tries = patience(clock, 100)
    for _ in range(5):
        clock.now += 80
        clock.progress.moved_at = clock.now
        asyncio.run(tries.pause(TryAgain("cut"), 1))
    assert clock.now - clock.began > 400


def test_only_growth_is_progress():
    progress = Progress()
    progress.note("a", 10)
    moved = progress.moved_at
    progress.note("a", 10)
    progress.note("a", 4)
    assert progress.moved_at == moved
    assert progress.done_bytes == 4
