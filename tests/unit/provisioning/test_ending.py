"""A node is written down as ended when that is proven, and not before."""

import time

import pytest

from conduit import provisioning
from conduit.errors import NodeFailed, ProviderUnauthorized
from conduit.store import NodeState
from support.faulty_provider import DESTROY_FAULTS


def test_absence_counts_when_it_was_seen_twice_apart_in_time(world):
    controller = world.controller(absent_gap_s=7)
    world.run(controller.up("d"))
    began = world.loop.now
    world.run(controller.down("d"))
    assert world.living == []
    assert world.loop.now - began >= 7


def test_what_it_cost_is_counted_to_the_first_look_that_showed_nothing(world):
    controller = world.controller(absent_gap_s=500)
    world.run(controller.up("d"))
    world.wait(1000)
    world.run(controller.down("d"))
    [cost] = world.store.costs()
    assert cost.estimated_usd == pytest.approx(world.cloud.billed_usd(world.owner.id), rel=0.01)
    assert cost.billed_usd == pytest.approx(world.cloud.billed_usd(world.owner.id))


@pytest.mark.parametrize("fault", DESTROY_FAULTS)
def test_whatever_the_answer_nothing_is_left(world, fault):
    controller = world.controller()
    world.run(controller.up("d", 2))
    world.cloud.faults["destroy"] = [fault, fault]
    world.run(controller.down("d"))
    assert world.living == []
    assert world.store.nodes() == []


def test_one_that_nothing_ends_is_said_to_live_and_ended_by_the_next_try(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.cloud.machines[0].ignores = 10_000
    with pytest.raises(NodeFailed, match="still there"):
        world.run(controller.down("d"))
    assert world.states == ["terminating"]
    world.cloud.machines[0].ignores = 0
    done = world.run(world.controller("b").reconcile())
    assert done.ended == [world.cloud.machines[0].node_id]
    assert world.states == ["terminated"]


def test_one_whose_provider_does_not_tell_is_not_written_off(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.cloud.faults["look"] = ["500"] * 1000
    with pytest.raises(NodeFailed, match="500"):
        world.run(controller.down("d"))
    assert world.states == ["terminating"]


def test_without_a_right_key_it_is_not_tried_for_long(world):
    controller = world.controller()
    world.run(controller.up("d"))

    async def refuse(*_args, **_kwargs):
        raise ProviderUnauthorized("The key is wrong.")

    controller.site.provider._target.destroy = refuse
    began = world.loop.now
    with pytest.raises(ProviderUnauthorized):
        world.run(controller.down("d"))
    assert world.loop.now - began < 5
    assert world.states == ["terminating"]


def test_one_that_lists_do_not_show_is_ended_by_its_handle(world):
    controller = world.controller()
    world.cloud.faults["create"] = ["invisible"]
    world.run(controller.up("d"))
    world.run(controller.down("d"))
    world.wait(60)
    assert world.living == []
    assert world.cloud.machines[0].ended_by == "a"


def test_a_fresh_one_that_no_order_reaches_yet_is_waited_for(world):
    controller = world.controller(settle_s=10)
    world.cloud.faults["create"] = ["invisible"]
    world.run(controller.up("d"))
    (machine,) = world.cloud.machines
    machine.shown_at = time.time() + 8
    provider = controller.site.provider._target
    obey = provider.destroy

    async def deaf(node_id, handle=None, /, **how):
        if time.time() >= machine.shown_at:
            await obey(node_id, handle, **how)

    provider.destroy = deaf
    world.run(controller.down("d"))
    assert world.living == []


def test_one_that_was_asked_for_and_not_seen_may_still_turn_up_before_it_counts_as_gone(world):
    controller = world.controller(settle_s=10)
    controller.life.dies_at = None
    world.cloud.faults["create"] = ["invisible after 500"]
    world.cloud.faults["look"] = ["500"] * 1000
    with pytest.raises(Exception, match="not known"):
        world.run(controller.up("d"))
    # It shows only eight seconds after it was asked for; the end begins at once.
    world.cloud.faults["look"] = []
    world.cloud.machines[0].shown_at = world.loop.now + 1_800_000_000 + 8
    world.run(world.controller("b").down("d"))
    assert world.living == []


def test_an_intent_alone_ends_without_a_word_to_the_provider(world):
    controller = world.controller()
    world.store.put_deployment("d", project="p", owner=world.owner.id, provider="faulty", spec={})
    world.store.add_intent("n1", deployment_key="d", provider="faulty", owner=world.owner.id, replica=0)
    [record] = world.store.nodes()
    world.cloud.faults["destroy"] = ["500"]
    world.run(provisioning.end(controller.site, record))
    assert world.states == ["terminated"]
    assert world.cloud.faults["destroy"] == ["500"]


def test_two_that_end_the_same_node_both_come_to_an_end(world):
    first, second = world.controller("a"), world.controller("b")
    world.run(first.up("d"))
    [record] = world.store.nodes()

    async def both():
        import asyncio

        await asyncio.gather(provisioning.end(first.site, record), provisioning.end(second.site, record))

    world.run(both())
    assert world.states == ["terminated"]


def test_telling_a_node_to_end_waits_for_no_proof(world):
    controller = world.controller(absent_gap_s=100)
    world.run(controller.up("d"))
    [record] = world.store.nodes()
    began = world.loop.now
    world.run(provisioning.tell(controller.site, record))
    assert world.loop.now - began < 5
    assert world.living == []
    assert world.states == ["terminating"]
    world.run(controller.reconcile())
    assert [record.state for record in world.store.nodes()] == [NodeState.TERMINATED]
