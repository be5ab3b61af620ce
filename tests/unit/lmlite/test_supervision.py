import asyncio
import logging

import anyio
import pytest

from conduit.compute import NodeStatus
from conduit.errors import ConduitError, DeploymentStopped, NodeFailed, NoReplica
from conduit.lmlite.nodes import supervision
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.dispatch import dispatch
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.states import ReplicaState
from conduit.lmlite.request import LMRequest
from conduit.store import DeploymentState, NodeState
from support.replicas import completion
from support.world import World, until

REQUEST = LMRequest("owner/m", ({"role": "user", "content": "hi"},))


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.store.close()


def story(world, tell, **options):
    """Runs `tell(deployment, pool, call)` on one loop, on which the deployment is looked after."""

    async def body():
        deployment = world.deployment(**{"replicas": 2} | options)
        pool, client = await deployment.up(), Client(world.http)

        async def call():
            return await dispatch(pool, client, REQUEST, timeout_s=5)

        try:
            await tell(deployment, pool, call)
        finally:
            await deployment.withdraw()

    asyncio.run(body())


def living(pool):
    return [replica for replica in pool.replicas if pool.state(replica).takes_requests]


def recorded(world, deployment):
    return world.store.deployment(deployment.key).state


def test_a_replica_that_dies_is_replaced_in_the_background(world, caplog):
    async def tell(deployment, pool, call):
        lost, other = pool.replicas
        world.provider.kill(lost.node_id)
        for _ in range(2):
            assert (await call()).replica == other.node_id
        await until(lambda: len(living(pool)) == 2)
        assert other in pool.replicas
        assert lost not in pool.replicas
        assert deployment.pool is pool
        await until(lambda: recorded(world, deployment) is DeploymentState.READY)
        health = await deployment.health()
        assert (health.ready, health.replaced, health.state) == (True, 1, "ready")
        assert world.store.node(lost.node_id).state is NodeState.LOST

    with caplog.at_level(logging.WARNING, "conduit"):
        story(world, tell)
    assert "is dead" in caplog.text
    assert "took a lost one's place" in caplog.text


def test_one_that_lives_but_is_dead_to_requests_is_ended_and_replaced(world):
    async def tell(deployment, pool, call):
        # It goes on to answer that it is ready, and shows no work: so a canary has found it dead.
        stalled = pool.replicas[0]
        pool.lease(Routable("m"), without={pool.replicas[1].node_id})
        pool.canary(stalled, "m", "sent")
        pool.canary(stalled, "m", "unanswered")
        await until(lambda: len(living(pool)) == 2 and stalled not in pool.replicas)
        assert world.provider.nodes[stalled.node_id].status is NodeStatus.EXITED
        assert world.store.node(stalled.node_id).state is NodeState.TERMINATED

    story(world, tell)


def test_what_another_process_stopped_is_not_started_again(world):
    async def tell(deployment, pool, call):
        await world.deployment(replicas=2).stop()
        before = len(world.provider.specs)
        with pytest.raises(NoReplica):
            await call()
        await until(lambda: not pool.replicas)
        with pytest.raises(DeploymentStopped):
            await deployment.up(seen=pool)
        assert len(world.provider.specs) == before
        assert world.alive == []
        await deployment.up(again=True)
        assert len(world.alive) == 2

    story(world, tell)


def test_what_another_process_replaced_is_taken_over(world):
    async def tell(deployment, pool, call):
        lost = pool.replicas[0]
        world.provider.kill(lost.node_id)
        theirs = await world.deployment(replicas=2).up()
        for _ in range(2):
            await call()
        await until(lambda: set(pool.replicas) == set(theirs.replicas))
        assert len(world.provider.specs) == 3

    story(world, tell)


def test_one_that_idled_out_comes_back_with_the_next_call_and_not_before(world, monkeypatch):
    async def tell(deployment, pool, call):
        world.provider.kill(pool.replicas[0].node_id)
        pool.refused(pool.replicas[0])
        await until(lambda: len(pool.replicas) == 1)
        await anyio.sleep(0.1)
        assert len(world.alive) == 1
        await call()
        await until(lambda: len(living(pool)) == 2)

    monkeypatch.setattr(supervision, "_IDLE_SHARE", 0.0)
    story(world, tell)


def test_nothing_is_replaced_while_nobody_calls(world):
    async def tell(deployment, pool, call):
        now = pool._clock()
        pool._clock = lambda: now + 3600
        world.provider.kill(pool.replicas[0].node_id)
        pool.refused(pool.replicas[0])
        await anyio.sleep(0.1)
        assert len(world.provider.specs) == 2
        await call()
        await until(lambda: len(living(pool)) == 2)

    story(world, tell, idle_timeout=None)


def test_replacements_that_keep_dying_wait_longer_each_time(world, monkeypatch):
    waits = []
    monkeypatch.setattr(supervision, "_RECHECK_S", 0.02)
    monkeypatch.setattr(supervision, "_LONGEST_WAIT_S", 0.02)
    longer = supervision.Supervision._wait_longer
    monkeypatch.setattr(
        supervision.Supervision, "_wait_longer", lambda self: (waits.append(self._short_lives), longer(self))
    )

    async def tell(deployment, pool, call):
        for _ in range(4):
            lost = pool.replicas[-1]
            world.provider.kill(lost.node_id)
            pool.refused(lost)
            await call()
            await until(lambda: len(living(pool)) == 2 and lost not in pool.replicas)  # noqa: B023

    story(world, tell)
    assert waits == [0, 1, 2]


def test_a_replacement_that_cannot_be_created_is_tried_again(world, monkeypatch, caplog):
    monkeypatch.setattr(supervision, "_LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(supervision, "_RECHECK_S", 0.02)

    async def tell(deployment, pool, call):
        world.provider.create_errors += [NodeFailed("no room"), NodeFailed("no room")]
        world.provider.kill(pool.replicas[0].node_id)
        for _ in range(2):
            await call()
        await until(lambda: len(living(pool)) == 2)
        assert (await deployment.health()).ready

    with caplog.at_level(logging.WARNING, "conduit"):
        story(world, tell)
    assert caplog.text.count("no room") == 2


def test_of_two_replacements_one_that_fails_does_not_waste_the_other(world, monkeypatch):
    monkeypatch.setattr(supervision, "_LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(supervision, "_RECHECK_S", 0.02)
    original, outcomes = world.provider.create, [None, NodeFailed("no room")]

    async def create(spec):
        if outcomes and (error := outcomes.pop(0)) is not None:
            raise error
        return await original(spec)

    async def tell(deployment, pool, call):
        world.provider.create = create
        for replica in pool.replicas[:2]:
            world.provider.kill(replica.node_id)
            pool.refused(replica)
        await call()
        await until(lambda: len(living(pool)) == 3)
        assert len(world.provider.specs) == 5

    story(world, tell, replicas=3)


def test_a_replacement_that_cannot_load_is_given_back(world, monkeypatch):
    monkeypatch.setattr(supervision, "_LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(supervision, "_RECHECK_S", 0.02)
    original, failing = world.provider.create, [True, False]

    async def create(spec):
        if failing and failing.pop(0):
            world.http.not_ready[spec.node_id] = {"m": {"state": "failed", "reason": "no weights"}}
        return await original(spec)

    async def tell(deployment, pool, call):
        world.provider.create = create
        world.provider.kill(pool.replicas[0].node_id)
        for _ in range(2):
            await call()
        await until(lambda: len(living(pool)) == 2)
        assert len(world.alive) == 2
        await until(lambda: recorded(world, deployment) is DeploymentState.READY)

    story(world, tell)


def test_callers_that_wait_for_a_lost_deployment_start_it_once(world):
    async def tell(deployment, pool, call):
        missing, looks = deployment._starts.missing, []

        async def look(*args, **kwargs):
            looks.append(1)
            return await missing(*args, **kwargs)

        deployment._starts.missing = look
        for replica in pool.replicas:
            world.provider.kill(replica.node_id)
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(after_loss(deployment, pool, call))
        assert len(world.provider.specs) == 4
        assert len(world.alive) == 2
        assert len(looks) <= 4  # not one a caller

    async def after_loss(deployment, pool, call):
        try:
            await call()
        except ConduitError:
            await deployment.up(seen=pool)
            assert (await call()).replica

    story(world, tell)


def test_stopping_waits_for_what_runs_and_takes_no_more(world):
    held = asyncio.Event()

    async def answer(node_id, _):
        await held.wait()
        return completion(f"from {node_id}")

    async def tell(deployment, pool, call):
        running = asyncio.create_task(call())
        await until(lambda: pool.outstanding)
        stopping = asyncio.create_task(deployment.stop())
        await until(lambda: pool.closed)
        assert not stopping.done()
        with pytest.raises(NoReplica):
            await call()
        held.set()
        assert (await running).text
        await stopping
        assert world.alive == []

    world.http.answer = answer
    story(world, tell)


def test_health_tells_busy_and_dead_replicas_and_the_breaker(world):
    async def tell(deployment, pool, call):
        first, second = pool.replicas
        world.http.not_ready[first.node_id] = {"m": {"state": "busy"}}
        world.provider.create_errors += [NodeFailed("no room")] * 100
        pool.refused(second)
        await until(lambda: pool.state(first) is ReplicaState.BUSY)
        for _ in range(3):
            pool.lease(Routable("m"), without={second.node_id}).end("broke")
        states = {replica.node_id: replica for replica in (await deployment.health()).replicas}
        assert (states[first.node_id].state, states[first.node_id].breaker) == ("busy", "open")

    story(world, tell)
