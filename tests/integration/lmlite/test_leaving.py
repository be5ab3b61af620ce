"""Who leaves a deployment does not end it for a process that has just found it."""

import asyncio
import subprocess
import sys
from contextlib import contextmanager

import pytest

from conduit.provisioning import exclusive
from conduit.store import DeploymentState
from support.world import World, until

ANOTHER = """
import sys
from conduit.settings import Settings
from conduit.store import open_store
open_store(Settings(data_dir=sys.argv[1], project="p")).declare(sys.argv[2])
print("declared", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.store.close()


@contextmanager
def another_process_wants(world, deployment):
    command = [sys.executable, "-c", ANOTHER, str(world.settings.data_dir), deployment.key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "declared\n"
        yield
        process.stdin.close()


def test_a_process_that_joins_while_the_last_one_leaves_keeps_its_replicas(world):
    deployment = world.deployment(replicas=2)

    async def leave_while_another_joins():
        await deployment.up()
        async with exclusive(world.site, deployment.key):  # the other one is at work on it
            leaving = asyncio.create_task(deployment.release())
            await until(lambda: deployment.pool is None)  # it has asked who wants it, and nobody did
            with_it = another_process_wants(world, deployment)
            await asyncio.to_thread(with_it.__enter__)
        try:
            return await leaving
        finally:
            with_it.__exit__(None, None, None)

    assert asyncio.run(leave_while_another_joins()) is False
    assert len(world.alive) == 2
    assert world.store.deployment(deployment.key).state is DeploymentState.READY


def test_the_last_one_to_leave_ends_it(world):
    deployment = world.deployment(replicas=2)

    async def leave():
        await deployment.up()
        with another_process_wants(world, deployment):
            assert await deployment.release() is False
        assert len(world.alive) == 2
        return await deployment.release()

    assert asyncio.run(leave()) is True
    assert world.alive == []
    assert world.store.deployment(deployment.key) is None


def test_what_was_told_to_stay_stays(world):
    deployment = world.deployment()

    async def leave():
        await deployment.up()
        await deployment.keep(kept=True)
        return await deployment.release()

    assert asyncio.run(leave()) is False
    assert len(world.alive) == 1
