"""What a new controller does about what an earlier one left."""

import contextlib

import pytest

from conduit.compute import NodeSpec
from conduit.errors import ConduitError
from conduit.store import NodeState
from conduit.store.store import Store
from support.controllers import Killed
from support.faulty_provider import CREATE_FAULTS


def killed(world, controller, coroutine):
    with pytest.raises(Killed):
        world.run(coroutine)
    assert controller.life.dead


@pytest.mark.parametrize("fault", [None, *CREATE_FAULTS])
def test_killed_at_any_step_of_a_start_it_leaves_nothing(world, fault):
    for step in range(1, 200):
        world.cloud.faults["create"] = [] if fault is None else [fault]
        controller = world.controller()
        controller.life.dies_at = step
        with contextlib.suppress(Killed, ConduitError):
            world.run(controller.up("d"))
        came_to_its_end = not controller.life.dead
        controller.life.kill()
        world.run(world.controller("next").reconcile())
        assert world.living == []
        assert all(record.state.final for record in world.store.nodes())
        if came_to_its_end:
            break
    assert step > 10


def test_killed_at_any_step_of_an_end_it_leaves_nothing(world):
    for step in range(1, 200):
        world.run(world.controller("up").up("d", 2))
        controller = world.controller()
        controller.life.dies_at = step
        try:
            world.run(controller.down("d"))
        except Killed:
            world.run(world.controller("next").down("d"))
        assert world.living == []
        if not controller.life.dead:
            break
    assert step > 15


def test_what_a_living_controller_is_about_is_let_alone(world):
    import asyncio

    first, second = world.controller("a"), world.controller("b")
    world.cloud.faults["create"] = ["hangs after creating"]

    async def scene():
        up = asyncio.create_task(first.up("d"))
        for _ in range(100):
            await second.reconcile()
            await asyncio.sleep(0.5)
        return await up

    [view] = world.run(scene()).values()
    assert world.living == [view.node_id]


def test_an_intent_whose_controller_is_at_work_is_let_alone(world):
    first, second = world.controller("a"), world.controller("b")
    world.store.put_deployment("d", project="p", owner=world.owner.id, provider="faulty", spec={})
    world.store.add_intent("n1", deployment_key="d", provider="faulty", owner=world.owner.id, replica=0)

    async def scene():
        async with first.alone("d"):
            return await second.reconcile()

    assert world.run(scene()).quiet
    assert world.states == ["intent"]
    assert world.run(second.reconcile()).ended == ["n1"]


def test_what_a_living_process_waits_for_is_let_alone(world):
    world.run(world.controller("a").up("d"))
    assert world.run(world.controller("b").reconcile()).quiet
    assert world.states == ["starting"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_start_whose_controller_has_died_goes_on_where_it_was_told_to_stay(world, kept):
    controller = world.controller()
    world.run(controller.up("d"))
    world.store.keep_deployment("d", kept=kept)
    controller.life.kill()
    done = world.run(world.controller("b").reconcile())
    assert done.quiet is kept
    assert len(world.living) == (1 if kept else 0)


def test_after_its_lifetime_a_node_is_ended_also_where_it_was_told_to_stay(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.store.keep_deployment("d")
    world.cloud.machines[0].expires_at = None  # the watchdog inside does not work
    world.wait(3601)
    assert len(world.run(world.controller("b").reconcile()).ended) == 1
    assert world.living == []


def test_what_was_ready_outlives_its_controller(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.store.transition(world.living[0], NodeState.READY)
    controller.life.kill()
    assert world.run(world.controller("b").reconcile()).quiet
    assert world.states == ["ready"]


def test_after_its_lifetime_a_node_is_ended_whoever_wants_it(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.cloud.machines[0].expires_at = None  # the watchdog inside does not work
    world.wait(3601)
    done = world.run(world.controller("b").reconcile())
    assert done.ended == [world.cloud.machines[0].node_id]
    assert world.living == []
    assert "lifetime" in world.store.nodes()[0].reason


def test_one_that_went_away_is_lost_when_it_was_missed_twice(world):
    controller = world.controller()
    world.run(controller.up("d"))
    world.wait(100)
    world.cloud.machines[0].ended_at = world.loop.now + 1_800_000_000
    done = world.run(controller.reconcile())
    assert done.lost == [world.cloud.machines[0].node_id]
    assert world.states == ["lost"]


def test_one_that_is_hidden_for_a_moment_is_not_lost(world):
    controller = world.controller(absent_gap_s=5)
    world.run(controller.up("d"))
    world.wait(100)
    world.cloud.machines[0].shown_at = world.loop.now + 1_800_000_000 + 4
    world.run(controller.reconcile())
    assert world.states == ["starting"]


def test_a_double_ends_and_the_one_in_the_row_stays(world):
    controller = world.controller()
    [view] = world.run(controller.up("d")).values()
    double = world.cloud.make(
        NodeSpec(view.node_id, world.owner.id, "d", "p", {}), usd_per_hour=1.0, double=True
    )
    double.ignores = 1
    world.run(controller.reconcile())
    assert [machine.id for machine in world.cloud.living()] == [view.handle["id"]]


def test_machines_that_no_record_knows_are_ended_also_when_the_records_are_lost(world):
    world.run(world.controller().up("d", 2))
    world.store.close()
    world.store = Store("sqlite://")
    done = world.run(world.controller("b").reconcile())
    assert len(done.orphans) == 2
    assert world.living == []


def test_a_machine_without_a_row_has_a_time_of_grace(world):
    from conduit import provisioning

    controller = world.controller()
    world.cloud.make(NodeSpec("n1", world.owner.id, "d", "p", {}), usd_per_hour=1.0)
    assert world.run(provisioning.reconcile_site(controller.site, orphan_grace_s=60)).quiet
    world.wait(61)
    assert world.run(provisioning.reconcile_site(controller.site, orphan_grace_s=60)).orphans == ["n1"]


def test_one_that_lives_although_its_row_ended_is_ended_again(world):
    controller = world.controller()
    [view] = world.run(controller.up("d")).values()
    world.store.transition(view.node_id, NodeState.LOST)
    assert world.run(controller.reconcile()).orphans == [view.node_id]
    assert world.living == []


@pytest.mark.parametrize(
    ("owner", "project"), [("another", "p"), (None, "another project")], ids=["owner", "project"]
)
def test_machines_of_others_are_never_touched(world, owner, project):
    spec = NodeSpec("n1", owner or world.owner.id, "d", project, {})
    machine = world.cloud.make(spec, usd_per_hour=1.0)
    world.wait(1000)
    assert world.run(world.controller().reconcile()).quiet
    assert machine.ended_at is None


def test_another_projects_half_done_starts_are_its_own_concern(world):
    other = world.controller("a", project="other")
    world.cloud.faults["create"] = ["hangs after creating"]
    other.life.dies_at = 14
    killed(world, other, other.up("d"))
    assert len(world.living) == 1
    world.run(world.controller("b").reconcile())
    assert len(world.living) == 1
    world.run(world.controller("c", project="other").reconcile())
    assert world.living == []


def test_a_provider_that_does_not_answer_is_told_of_and_the_rest_is_done(world):
    controller = world.controller()
    world.store.put_deployment("d", project="p", owner=world.owner.id, provider="faulty", spec={})
    world.store.add_intent("n1", deployment_key="d", provider="faulty", owner=world.owner.id, replica=0)
    world.cloud.faults["look"] = ["500"]
    done = world.run(controller.reconcile())
    assert "500" in done.errors[0]
    assert done.ended == ["n1"]
