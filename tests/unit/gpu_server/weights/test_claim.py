"""One downloader at a time, and never none for long."""

import asyncio
import os

import pytest

from gpu_server.weights.claim import Claim

DEADLINE_S = 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blob.claim"


def always():
    return True


def run(work):
    return asyncio.run(asyncio.wait_for(work, DEADLINE_S))


def test_of_many_one_has_it_at_a_time(path):
    most = running = 0

    async def one():
        nonlocal most, running
        async with Claim(path, look_s=0.001).held(always) as held:
            assert held
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.002)
            running -= 1

    async def all_of_them():
        await asyncio.gather(*(one() for _ in range(12)))

    run(all_of_them())
    assert most == 1
    assert not path.exists()


def test_who_need_not_wait_any_more_goes_on_without_it(path):
    path.write_text("another")

    async def one():
        async with Claim(path, look_s=0.001).held(lambda: False) as held:
            return held

    assert run(one()) is False
    assert path.read_text() == "another"


def test_a_dead_holders_claim_is_taken_over_whatever_the_clocks_say(path):
    path.write_text("dead")
    os.utime(path, (2e9, 2e9))  # from a machine whose clock is years ahead

    async def one():
        async with Claim(path, stale_s=0.05, look_s=0.005).held(always) as held:
            return held, path.read_text()

    held, holder = run(one())
    assert held
    assert holder != "dead"
    assert list(path.parent.iterdir()) == []


def test_a_living_holder_keeps_it_for_as_long_as_it_takes(path):
    async def both():
        waiter = Claim(path, stale_s=0.3, look_s=0.005)
        looks = 0

        def waiting():
            nonlocal looks
            looks += 1
            return looks < 200  # a second and more, three times the time that a dead one has

        async with Claim(path, stale_s=0.3).held(always) as first, waiter.held(waiting) as second:
            return first, second

    assert run(both()) == (True, False)


def test_a_holder_that_was_taken_for_dead_leaves_its_successors_claim(path):
    async def one():
        async with Claim(path).held(always):
            path.write_text("successor")

    run(one())
    assert path.read_text() == "successor"
