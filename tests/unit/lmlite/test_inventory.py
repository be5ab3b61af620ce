import asyncio

import pytest

from conduit import compute, store
from conduit.compute import NodeSpec
from conduit.errors import NodeFailed
from conduit.lmlite import LMLiteResource, collect, deployments, down
from conduit.lmlite.config import resource_config
from conduit.lmlite.nodes.deployment import Deployment
from conduit.lmlite.replicas.client import Client
from conduit.provisioning import Site, site
from conduit.settings import Settings
from conduit.testing import FakeProvider
from support.replicas import Replicas


class World:
    """Records in a data folder, nodes in memory, seen by the inventory."""

    def __init__(self, tmp_path):
        self.settings = Settings()
        self.provider = FakeProvider()
        self.store = store.open_store(self.settings)
        self.owner = compute.load_owner(self.settings)

    def site(self, **changes):
        return Site(self.settings.model_copy(update=changes), self.store, self.provider, self.owner)

    def up(self, models="owner/m", *, project=None, **options):
        site = self.site(**({"project": project} if project else {}))
        deployment = Deployment(
            site, Client(Replicas(self.provider)), resource_config(models, "local", **options)
        )
        asyncio.run(deployment.up())
        return deployment.key

    def forget_process(self):
        """As if the process that declared the deployments had ended."""
        for declaration in self.store.declarations():
            self.store.withdraw(declaration.deployment_key)

    @property
    def keys(self):
        return {record.key for record in self.store.deployments()}


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)

    async def open_site(settings, _):
        return world.site(project=settings.project)

    monkeypatch.setattr(site, "open_site", open_site)
    yield world
    world.store.close()


def test_what_no_live_process_wants_is_removed(world):
    key = world.up(replicas=2)
    world.forget_process()
    [removed] = collect(world.settings)
    assert (removed.kind, removed.id, removed.done, removed.error) == ("deployment", key, True, None)
    assert len(removed.nodes) == 2
    assert world.provider.nodes == {}
    assert world.keys == set()


def test_a_dry_run_tells_and_removes_nothing(world):
    key = world.up()
    world.forget_process()
    [removed] = collect(world.settings, dry_run=True)
    assert (removed.id, removed.done) == (key, False)
    assert world.keys == {key}
    assert len(asyncio.run(world.provider.list_owned(world.owner.id))) == 1


def test_what_a_live_object_of_this_process_wants_stays(world):
    lm = LMLiteResource("owner/m")
    key = world.up()
    world.forget_process()
    assert collect(world.settings) == []
    assert world.keys == {key}
    assert lm is not None


def test_what_this_process_declared_but_wants_no_longer_is_removed(world):
    old = LMLiteResource("owner/m", name="triage")
    old_key = world.up()
    new = LMLiteResource("owner/m", name="triage", replicas=2)
    new_key = world.up(replicas=2)
    assert [removed.id for removed in collect(world.settings)] == [old_key]
    assert world.keys == {new_key}
    assert (old, new) != (None, None)


def test_what_another_live_process_wants_stays(world, monkeypatch):
    key = world.up()
    monkeypatch.setattr(world.store, "is_ours", lambda _: False)
    assert collect(world.settings) == []
    assert world.keys == {key}


def test_what_was_told_to_stay_stays_until_down(world):
    key = world.up()
    world.store.keep_deployment(key)
    world.forget_process()
    assert collect(world.settings) == []
    [view] = deployments(world.settings)
    assert (view.kept, view.wanted_by) == (True, ())
    [removed] = down(world.settings)
    assert (removed.id, removed.done) == (key, True)
    assert world.provider.nodes == {}


def test_what_is_no_longer_told_to_stay_goes(world):
    key = world.up()
    world.store.keep_deployment(key)
    world.forget_process()
    world.store.keep_deployment(key, kept=False)
    assert [removed.id for removed in collect(world.settings)] == [key]


def test_what_replicas_cost_is_listed_and_what_there_is_to_spend(world):
    key = world.up(replicas=2, budget_usd=3.0)
    for record in world.store.nodes():
        world.store.transition(record.id, record.state, usd_per_hour=0.4, expires_at=9e9)
    [view] = deployments(world.settings)
    assert (view.key, view.budget_usd, view.usd_per_hour) == (key, 3.0, pytest.approx(0.8))
    assert 0 < view.usd < 0.8
    assert [(node.usd_per_hour, node.expires_at) for node in view.nodes] == [(0.4, 9e9)] * 2
    world.provider.kill(view.nodes[0].id)
    assert deployments(world.settings)[0].usd_per_hour == pytest.approx(0.4), "a lost one costs no more"


def test_other_projects_are_left_alone(world):
    key = world.up(project="other")
    world.forget_process()
    assert collect(world.settings) == []
    assert down(world.settings) == []
    assert world.keys == {key}


def test_a_node_that_no_record_knows_is_removed(world):
    asyncio.run(world.provider.create(NodeSpec("n1", world.owner.id, "d", world.settings.project, {})))
    asyncio.run(world.provider.create(NodeSpec("n2", "somebody-else", "d", world.settings.project, {})))
    asyncio.run(world.provider.create(NodeSpec("n3", world.owner.id, "d", "other", {})))
    [removed] = collect(world.settings)
    assert (removed.kind, removed.id, removed.done) == ("node", "n1", True)
    assert set(world.provider.nodes) == {"n2", "n3"}


def test_down_removes_what_is_wanted_too(world):
    lm = LMLiteResource("owner/m")
    key = world.up()
    assert [removed.id for removed in down(world.settings)] == [key]
    assert world.keys == set()
    assert lm is not None


def test_one_that_resists_is_told_and_does_not_keep_the_others(world):
    world.up()
    world.up(replicas=2)
    stubborn = next(iter(world.provider.nodes))
    original = world.provider.destroy

    async def destroy(node_id, handle=None, *, at_once=False):
        if node_id == stubborn:
            raise NodeFailed("still lives")
        await original(node_id, handle)

    world.provider.destroy = destroy
    outcomes = {removed.error: removed.done for removed in down(world.settings)}
    assert outcomes == {"still lives": False, None: True}
    assert [node.id for node in world.store.nodes(live=True)] == [stubborn]
    world.provider.destroy = original
    assert all(removed.done for removed in down(world.settings))
    assert world.keys == set()


def test_deployments_are_listed_with_their_nodes_and_who_wants_them(world):
    key = world.up(["owner/m", "owner/n"], replicas=2, name="triage")
    world.up(project="other")
    [view] = deployments(world.settings)
    assert (view.key, view.name, view.state, view.models, view.replicas) == (
        key,
        "triage",
        "ready",
        ("owner/m", "owner/n"),
        2,
    )
    assert [(node.replica, node.state, node.alive) for node in view.nodes] == [
        (0, "ready", True),
        (1, "ready", True),
    ]
    assert len(view.wanted_by) == 1
    world.provider.kill(view.nodes[0].id)
    assert [node.state for node in deployments(world.settings)[0].nodes] == ["lost", "ready"]
    assert len(deployments(world.settings, all_projects=True)) == 2
