"""What becomes of a request for a node, whatever the provider answers."""

import asyncio
import contextlib

import pytest

from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    IllegalTransition,
    NoCapacity,
    OfferingRefused,
    ProviderBusy,
    ProviderRejected,
)
from conduit.store import NodeState
from support.faulty_provider import CREATE_FAULTS

REFUSED = {"402": BalanceTooLow, "422": ProviderRejected}


def test_a_node_is_written_down_before_it_is_asked_for(world):
    seen = []
    create = world.controller().site.provider._target.create.__func__

    async def watched(provider, spec):
        seen.append([(record.id, str(record.state)) for record in world.store.nodes()])
        return await create(provider, spec)

    controller = world.controller()
    controller.site.provider._target.create = watched.__get__(controller.site.provider._target)
    world.run(controller.up("d"))
    assert seen == [[(world.living[0], "creating")]]
    assert world.states == ["starting"]


@pytest.mark.parametrize("fault", CREATE_FAULTS)
def test_after_any_answer_there_is_one_machine_and_its_row_or_neither(world, fault):
    world.cloud.faults["create"] = [fault]
    controller = world.controller()
    if fault in REFUSED:
        with pytest.raises(REFUSED[fault]):
            world.run(controller.up("d"))
        assert world.living == []
        assert world.states == ["failed"]
        return
    [view] = world.run(controller.up("d")).values()
    assert world.living == [view.node_id]
    live = world.store.nodes(live=True)
    assert [(record.id, dict(record.handle)) for record in live] == [(view.node_id, dict(view.handle))]


@pytest.mark.parametrize("fault", CREATE_FAULTS)
def test_no_node_is_asked_for_twice(world, fault):
    world.cloud.faults["create"] = [fault, fault]
    controller = world.controller()
    with contextlib.suppress(BalanceTooLow, ProviderRejected, OfferingRefused, NoCapacity):
        world.run(controller.up("d", 2))
    doubles = 2 if fault == "two after creating" else 1
    assert all(world.cloud.asked.count(node_id) <= doubles for node_id in world.cloud.asked)
    assert len(world.living) <= 2


def test_what_one_offering_cannot_give_another_does(world):
    world.cloud.faults["create"] = ["no capacity"]
    world.run(world.controller().up("d"))
    [record] = world.store.nodes(live=True)
    assert record.offering["gpu"] == "a40"
    assert record.usd_per_hour == 0.60
    assert world.states.count("failed") == 1


def test_when_all_offerings_are_sold_out_the_error_names_each(world):
    world.cloud.faults["create"] = ["no capacity", "403"]
    with pytest.raises(NoCapacity, match=r"NVIDIA L4: .*instances.*NVIDIA A40: .*may not"):
        world.run(world.controller().up("d"))


def test_what_comes_to_nothing_again_and_again_is_given_up(world):
    world.cloud.faults["create"] = ["500"] * 6
    with pytest.raises(AmbiguousAnswer, match="3 times"):
        world.run(world.controller().up("d"))
    assert world.living == []
    assert world.states == ["failed"] * 6


def test_a_provider_that_is_asked_too_often_is_asked_later_but_not_for_ever(world):
    world.cloud.faults["create"] = ["429", "429"]
    world.run(world.controller().up("d"))
    assert world.states == ["starting"]
    world.cloud.faults["create"] = ["429"] * 100
    with pytest.raises(ProviderBusy):
        world.run(world.controller().up("e"))


def test_while_nobody_can_look_the_row_stays_as_it_was(world):
    world.cloud.faults["create"] = ["hangs after creating"]
    world.cloud.faults["look"] = ["500"] * 1000
    with pytest.raises(AmbiguousAnswer, match="not known"):
        world.run(world.controller().up("d"))
    assert world.states == ["creating"]
    assert len(world.living) == 1
    world.cloud.faults["look"] = []
    assert [view.node_id for view in world.run(world.controller("b").up("d")).values()] == world.living


def test_a_provider_with_a_bug_of_its_own_counts_as_one_that_said_nothing(world):
    controller = world.controller()
    provider = controller.site.provider._target
    create = provider.create

    async def broken(spec):
        await create(spec)
        raise KeyError("id")

    provider.create = broken
    [view] = world.run(controller.up("d")).values()
    assert world.living == [view.node_id]


def test_a_row_that_was_closed_meanwhile_takes_its_machine_along(world):
    controller = world.controller()
    provider = controller.site.provider._target
    create = provider.create

    async def closed(spec):
        view = await create(spec)
        world.store.transition(spec.node_id, NodeState.FAILED)
        return view

    provider.create = closed
    with pytest.raises(IllegalTransition):
        world.run(controller.up("d"))
    assert world.living == []


def test_cancelled_anywhere_it_leaves_only_what_the_next_start_finds(world):
    async def cut_off(after_s):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after_s):
                await world.controller().up("d")

    for moment in range(60):
        world.cloud.faults["create"] = ["hangs after creating"]
        world.run(cut_off(0.05 + moment * 0.6))
        found = world.run(world.controller("b").up("d"))
        assert world.living == [view.node_id for view in found.values()]
        world.run(world.controller("c").down("d"))
        assert world.living == []
