import asyncio
import json

import anyio
import httpx
import pytest

from conduit import compute
from conduit.errors import DeploymentFailed, DeploymentStopped, ModelDoesNotFit, NodeFailed
from conduit.lmlite.config import ModelConfig
from conduit.lmlite.nodes import memory, starts
from conduit.store import DeploymentState, NodeState
from support.world import World, until


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.store.close()


def run(function, *args, **kwargs):
    async def body():
        return await function(*args, **kwargs)

    return asyncio.run(body())


def test_up_starts_as_many_replicas_as_are_wanted(world):
    deployment = world.deployment(replicas=2)
    pool = run(deployment.up)
    assert [replica.node_id for replica in pool.replicas] == world.alive
    assert len(world.alive) == 2
    assert world.states(deployment) == [NodeState.READY, NodeState.READY]
    assert world.store.deployment(deployment.key).state is DeploymentState.READY
    assert [d.deployment_key for d in world.store.declarations()] == [deployment.key]


def test_a_replica_is_told_its_limits_and_models(world):
    run(world.deployment(ModelConfig("owner/m", max_model_len=7), idle_timeout=5, max_lifetime=9).up)
    [spec] = world.provider.specs.values()
    assert spec.project == "p"
    assert spec.config["idle_timeout_s"] == 5
    assert spec.config["max_lifetime_s"] == 9
    assert spec.config["models"][0] | {"max_model_len": 7, "path": None} == spec.config["models"][0]
    assert json.dumps(spec.config)
    assert not {"host", "port", "announce"} & set(spec.config)


def test_the_same_configuration_finds_the_running_replicas(world):
    first = run(world.deployment(replicas=2).up)
    second = run(world.deployment(replicas=2).up)
    assert [r.node_id for r in first.replicas] == [r.node_id for r in second.replicas]
    assert len(world.provider.specs) == 2


def test_another_configuration_gets_replicas_of_its_own(world):
    run(world.deployment().up)
    run(world.deployment(idle_timeout=5).up)
    assert len(world.alive) == 2


def test_many_callers_at_once_start_it_once(world):
    deployment = world.deployment()

    async def crowd():
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(deployment.up)

    asyncio.run(crowd())
    assert len(world.provider.specs) == 1


def test_only_the_missing_replica_is_started_again(world):
    deployment = world.deployment(replicas=2)
    pool = run(deployment.up)
    world.provider.kill(pool.replicas[0].node_id)
    again = run(deployment.up, seen=pool)
    assert pool.replicas[1] in again.replicas
    assert len(world.provider.specs) == 3
    assert sorted(world.states(deployment)) == ["lost", "ready", "ready"]


def test_a_ready_replica_does_not_idle_out_while_another_still_loads(world):
    deployment = world.deployment(replicas=2, idle_timeout=0.06)
    original = world.provider.create

    async def create(spec):
        if world.provider.specs:
            world.http.not_ready[spec.node_id] = {"m": {"state": "starting"}}
        return await original(spec)

    world.provider.create = create

    async def scene():
        async with anyio.create_task_group() as group:
            group.start_soon(deployment.up)
            await until(lambda: len(world.http.used) > 1)
            world.http.not_ready.clear()

    asyncio.run(scene())
    assert set(world.http.used) == {next(iter(world.provider.specs))}


def test_ready_means_every_model_of_every_replica(world):
    deployment = world.deployment(replicas=2)

    async def scene():
        async with anyio.create_task_group() as group:
            original = world.provider.create

            async def create(spec):
                world.http.not_ready[spec.node_id] = {"m": {"state": "starting"}}
                return await original(spec)

            world.provider.create = create
            group.start_soon(deployment.up)
            await until(lambda: len(world.http.not_ready) == 2)
            first, second = world.http.not_ready
            del world.http.not_ready[first]
            await until(lambda: world.store.node(first).state is NodeState.READY)
            assert deployment.pool is None
            assert not (await deployment.health()).ready
            del world.http.not_ready[second]

    asyncio.run(scene())
    assert deployment.pool is not None
    assert run(deployment.health).ready


def test_a_model_that_cannot_load_fails_the_start_with_the_reason_and_gives_all_back(world):
    original = world.provider.create

    async def create(spec):
        world.http.not_ready[spec.node_id] = {"m": {"state": "failed", "reason": "no weights"}}
        return await original(spec)

    world.provider.create = create
    deployment = world.deployment(replicas=2)
    with pytest.raises(DeploymentFailed, match="no weights"):
        run(deployment.up)
    assert world.alive == []
    assert world.store.deployment(deployment.key).state is DeploymentState.FAILED
    assert "no weights" in world.store.deployment(deployment.key).reason


def test_a_replica_that_ends_while_it_starts_fails_the_start_with_its_last_words(world):
    original = world.provider.create

    async def create(spec):
        view = await original(spec)
        world.provider.kill(spec.node_id)
        return view

    world.provider.create = create
    with pytest.raises(DeploymentFailed, match="log of n") as caught:
        run(world.deployment().up)
    assert "/fake/n" in caught.value.hint


def test_when_the_second_replica_cannot_be_created_the_first_is_given_back(world):
    deployment = world.deployment(replicas=2)
    original, calls = world.provider.create, []

    async def create(spec):
        calls.append(spec)
        if len(calls) == 2:
            raise NodeFailed("no more")
        return await original(spec)

    world.provider.create = create
    with pytest.raises(NodeFailed, match="no more"):
        run(deployment.up)
    assert world.alive == []
    assert sorted(world.states(deployment)) == ["failed", "terminated"]


def test_a_start_that_takes_too_long_is_ended(tmp_path):
    world = World(tmp_path, startup_timeout_s=0.2)
    original = world.provider.create

    async def create(spec):
        world.http.not_ready[spec.node_id] = {"m": {"state": "starting"}}
        return await original(spec)

    world.provider.create = create
    with pytest.raises(DeploymentFailed, match=r"0\.2 s"):
        run(world.deployment().up)
    assert world.alive == []
    world.store.close()


def test_replicas_that_do_not_fit_into_this_machine_are_not_started(world, tmp_path, monkeypatch):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"0" * 100)
    monkeypatch.setattr(memory, "available_bytes", lambda: 199)
    world.provider.caps = compute.Caps(this_machine=True, gpus=False)
    with pytest.raises(ModelDoesNotFit) as caught:
        run(world.deployment(str(folder), replicas=2).up)
    assert (caught.value.needed_bytes, caught.value.available_bytes) == (200, 199)
    assert world.provider.specs == {}


def test_a_node_whose_creator_died_half_way_is_adopted(world):
    deployment = world.deployment()
    spec_of = world.provider.specs
    world.store.put_deployment(deployment.key, project="p", owner="o", provider="local", spec={})
    world.store.add_intent("n1", deployment_key=deployment.key, provider="local", owner="o", replica=0)
    world.store.transition("n1", NodeState.CREATING)
    run(world.provider.create, compute.NodeSpec("n1", "o", deployment.key, "p", {}))
    pool = run(deployment.up)
    assert [replica.node_id for replica in pool.replicas] == ["n1"]
    assert list(spec_of) == ["n1"]


def test_an_intent_that_nobody_acted_on_is_closed(world):
    deployment = world.deployment()
    world.store.put_deployment(deployment.key, project="p", owner="o", provider="local", spec={})
    world.store.add_intent("n1", deployment_key=deployment.key, provider="local", owner="o", replica=0)
    run(deployment.up)
    assert world.store.node("n1").state is NodeState.TERMINATED
    assert len(world.alive) == 1


def test_stop_ends_the_replicas_and_keeps_the_records(world):
    deployment = world.deployment(replicas=2)
    run(deployment.up)
    run(deployment.stop)
    assert world.alive == []
    assert world.states(deployment) == [NodeState.TERMINATED] * 2
    assert world.store.deployment(deployment.key).state is DeploymentState.STOPPED
    assert world.store.declarations() == []


def test_delete_leaves_no_node_and_no_row(world):
    deployment = world.deployment(replicas=2)
    run(deployment.up)
    run(deployment.delete)
    assert world.provider.nodes == {}
    assert world.store.deployment(deployment.key) is None
    assert world.store.nodes() == []
    assert world.store.declarations() == []


def test_delete_of_what_never_was_is_nothing(world):
    run(world.deployment().delete)
    run(world.deployment().stop)


@pytest.mark.parametrize("how", ["stop", "delete"])
def test_what_another_process_took_down_is_not_started_by_a_mere_call(world, how):
    ours, theirs = world.deployment(), world.deployment()
    pool = run(ours.up)
    run(getattr(theirs, how))
    with pytest.raises(DeploymentStopped, match="another process"):
        run(ours.up, seen=pool)
    assert world.alive == []
    run(ours.up, again=True)
    assert len(world.alive) == 1


def test_a_first_call_starts_what_was_stopped_before(world):
    run(world.deployment().up)
    run(world.deployment().stop)
    run(world.deployment().up)
    assert len(world.alive) == 1


def test_health_tells_of_each_replica(world):
    deployment = world.deployment(replicas=2)
    pool = run(deployment.up)
    world.provider.kill(pool.replicas[1].node_id)
    health = run(deployment.health)
    assert not health.ready
    assert [(r.replica, r.state, r.ready) for r in health.replicas] == [
        (0, "ready", True),
        (1, "lost", False),
    ]
    assert health.replicas[0].models == {"m": "ready"}
    assert health.replicas[1].log


def test_health_of_what_is_not_up_is_absent(world):
    health = run(world.deployment().health)
    assert (health.state, health.ready, health.replicas) == ("absent", False, ())
    assert world.provider.specs == {}


def test_of_ended_nodes_only_the_last_of_each_replica_is_kept(world):
    deployment = world.deployment()
    pool = run(deployment.up)
    for _ in range(4):
        world.provider.kill(pool.replicas[0].node_id)
        pool = run(deployment.up, seen=pool)
    assert len(world.provider.nodes) == 2
    assert world.states(deployment) == [NodeState.LOST, NodeState.READY]


def test_a_replica_that_takes_connections_and_never_answers_ends_the_start(world, monkeypatch):
    monkeypatch.setattr(starts, "_SILENT_START_S", 0.05)
    original = world.http._respond

    async def respond(request):
        if request.url.path == "/ready":
            raise httpx.ReadError("it hangs")
        return await original(request)

    world.http._respond = respond
    with pytest.raises(DeploymentFailed, match="answered nothing"):
        run(world.deployment().up)
    assert world.alive == []


def test_a_running_replica_that_ends_while_others_are_awaited_is_started_anew(world):
    first = world.deployment(replicas=2)
    pool = run(first.up)
    [idle, _] = pool.replicas
    world.http.not_ready[idle.node_id] = {"m": {"state": "starting"}}
    second = world.deployment(replicas=2)

    async def scene():
        async with anyio.create_task_group() as group:
            group.start_soon(second.up)
            await until(lambda: second._lock.statistics().locked)
            await anyio.sleep(0.05)
            world.provider.kill(idle.node_id)

    asyncio.run(scene())
    assert len(second.pool.replicas) == 2
    assert idle not in second.pool.replicas
