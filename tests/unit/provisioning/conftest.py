"""A world for provisioning: records in memory, a faulty cloud, controllers, and a clock that jumps."""

from __future__ import annotations

import asyncio

import pytest

from conduit.store.store import Store
from support.controllers import Controller, load_owner, processes_by_name
from support.faulty_provider import Cloud
from support.virtual_time import virtual_time


class World:
    """Everything that outlives a controller."""

    def __init__(self, tmp_path, loop):
        self.tmp_path, self.loop = tmp_path, loop
        self.cloud, self.store = Cloud(), Store("sqlite://")
        self.owner = load_owner(tmp_path)

    def controller(self, name="a", **options):
        return Controller(name, self.store, self.cloud, self.owner, tmp_path=self.tmp_path, **options)

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def wait(self, seconds):
        self.run(asyncio.sleep(seconds))

    @property
    def living(self):
        return [machine.node_id for machine in self.cloud.living()]

    @property
    def states(self):
        return [str(record.state) for record in self.store.nodes()]


@pytest.fixture
def world(tmp_path):
    with virtual_time() as loop, processes_by_name():
        world = World(tmp_path, loop)
        yield world
        world.store.close()
