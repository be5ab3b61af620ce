"""One controller at a time works on a deployment."""

import asyncio

import pytest

from conduit.errors import DeploymentFailed, StoreUnavailable
from conduit.provisioning import Keeper, exclusive, exclusive_now
from support.controllers import Killed


def test_one_at_a_time(world):
    inside, most = 0, 0

    async def one():
        nonlocal inside, most
        async with exclusive(world.controller().site, "d"):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(3)
            inside -= 1

    async def all_at_once():
        await asyncio.gather(*(one() for _ in range(8)))

    world.run(all_at_once())
    assert most == 1


def test_it_is_kept_for_as_long_as_the_work_takes(world):
    async def scene():
        async with exclusive(world.controller().site, "d"):
            await asyncio.sleep(500)
            async with exclusive_now(world.controller().site, "d") as free:
                return free

    assert world.run(scene()) is False


def test_one_who_waits_too_long_is_told(world):
    async def scene():
        async with exclusive(world.controller().site, "d"), exclusive(world.controller().site, "d"):
            pytest.fail("two were in")

    with pytest.raises(DeploymentFailed, match="more than 600 s"):
        world.run(scene())


def test_a_killed_holder_keeps_nobody_waiting(world):
    dying = world.controller()

    async def hold():
        async with dying.alone("d"):
            dying.life.kill()
            dying.life.step()

    with pytest.raises(Killed):
        world.run(hold())
    began = world.loop.now

    async def after():
        async with exclusive(world.controller().site, "d"):
            return world.loop.now - began

    assert world.run(after()) < 1


@pytest.mark.parametrize("moment", range(12))
def test_cancelled_while_it_is_taken_it_is_free_again(world, moment):
    async def take():
        async with exclusive(world.controller().site, "d"):
            await asyncio.sleep(1)

    async def scene():
        task = asyncio.create_task(take())
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.1)
        async with exclusive_now(world.controller().site, "d") as free:
            return free

    assert world.run(scene())


def test_work_ends_when_the_records_cannot_be_reached_for_longer_than_the_lease_lasts(world):
    controller = world.controller()

    def broken(*_args, **_kwargs):
        raise StoreUnavailable("no disk")

    async def scene():
        async with exclusive(controller.site, "d"):
            world.store.renew_lease = world.store.release_lease = broken
            await asyncio.sleep(10_000)

    with pytest.raises(DeploymentFailed, match="lost"):
        world.run(scene())
    assert world.loop.now < 100


def test_of_several_controllers_one_at_a_time_reconciles_and_another_follows(world):
    first, second = world.controller("a"), world.controller("b")
    looks = []

    def watched(controller):
        provider = controller.site.provider._target
        look = provider.list_owned

        async def list_owned(owner):
            looks.append(provider.name)
            return await look(owner)

        provider.list_owned = list_owned
        return Keeper(controller.site, list, every_s=30).run()

    async def scene():
        tasks = [asyncio.create_task(watched(first)), asyncio.create_task(watched(second))]
        await asyncio.sleep(300)
        alone = set(looks)
        looks.clear()
        tasks[0].cancel()
        await asyncio.sleep(300)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        return alone

    assert world.run(scene()) == {"a"}
    assert set(looks) == {"b"}
