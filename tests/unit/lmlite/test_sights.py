"""A provider's word on a node: asked for sparingly, and believed when it can be."""

import asyncio
import time
from dataclasses import replace

import pytest

from conduit.compute import Caps, NodeSpec
from conduit.errors import AmbiguousAnswer, ProviderBusy, ProviderUnauthorized
from conduit.lmlite.nodes.sights import Sights
from support.world import World


class Scene(World):
    """One node at a provider that counts the questions, and a clock that is set."""

    def __init__(self, tmp_path, monkeypatch, **caps):
        super().__init__(tmp_path)
        self.now, self.asked, self.fault = 100.0, [], None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.provider.caps = Caps(this_machine=False, gpus=True, **caps)
        asyncio.run(self.provider.create(NodeSpec("n1", "o", "d", "p", {})))
        self.sights = Sights(replace(self.site, provider=self))
        self.caps = self.provider.caps

    async def get(self, node_id, handle=None, /):
        self.asked.append(handle)
        if self.fault is not None:
            raise self.fault
        return await self.provider.get(node_id, handle)

    def look(self):
        return asyncio.run(self.sights.look("n1"))


@pytest.fixture
def scene(tmp_path, monkeypatch):
    scenes = []

    def make(**caps):
        scenes.append(Scene(tmp_path, monkeypatch, **caps))
        return scenes[0]

    yield make
    scenes[0].store.close()


def test_what_costs_is_asked_about_once_a_second(scene):
    scene = scene(costs=True)
    for _ in range(20):
        assert scene.look()[0].alive
        scene.now += 0.1
    assert len(scene.asked) == 2


def test_what_is_free_is_asked_about_each_time(scene):
    scene = scene()
    scene.look()
    scene.provider.kill("n1")
    view, is_known = scene.look()
    assert (view.alive, is_known) == (False, True)


def test_a_machine_is_asked_for_by_its_handle_once_that_is_known(scene):
    scene = scene()
    scene.look()
    scene.sights.know([scene.provider.nodes["n1"]])
    scene.look()
    assert scene.asked == [None, {"number": 1}]


def test_one_that_is_missed_is_gone_after_the_time_that_its_provider_needs(scene):
    scene = scene(costs=True, settle_s=20, absent_gap_s=10)
    scene.provider.nodes.clear()
    assert scene.look() == (None, False)
    assert asyncio.run(scene.sights.lives("n1"))
    scene.now += 29
    assert scene.look() == (None, False)
    scene.now += 2
    assert scene.look() == (None, True)
    assert not asyncio.run(scene.sights.lives("n1"))


def test_an_error_tells_nothing_and_one_who_asks_too_often_waits(scene):
    scene = scene(costs=True)
    scene.fault = AmbiguousAnswer("500")
    assert scene.look() == (None, False)
    scene.now += 1.1
    scene.fault = ProviderBusy("slowly", retry_after_s=10)
    assert scene.look() == (None, False)
    scene.now += 9
    scene.look()
    assert len(scene.asked) == 2
    scene.now += 2
    scene.fault = None
    assert scene.look()[0].alive


def test_a_wrong_key_is_told_at_once(scene):
    scene = scene(costs=True)
    scene.fault = ProviderUnauthorized("wrong key")
    with pytest.raises(ProviderUnauthorized):
        scene.look()
