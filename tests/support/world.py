"""One data folder with records, and a provider and replicas in memory; for what happens to deployments."""

from __future__ import annotations

import anyio

from conduit import compute, store
from conduit.lmlite.config import resource_config
from conduit.lmlite.nodes.deployment import Deployment
from conduit.lmlite.replicas.client import Client
from conduit.provisioning.site import Site
from conduit.settings import Settings
from conduit.testing import FakeProvider
from support.replicas import Replicas


class World:
    """One data folder with records and a provider in memory."""

    def __init__(self, tmp_path, **changes):
        self.settings = Settings(data_dir=tmp_path / "data", project="p", **changes)
        self.store = store.open_store(self.settings)
        self.provider = FakeProvider()
        self.http = Replicas(self.provider)
        self.site = Site(self.settings, self.store, self.provider, compute.load_owner(self.settings))

    def deployment(self, models="owner/m", **options):
        return Deployment(self.site, Client(self.http), resource_config(models, "local", **options))

    def states(self, deployment):
        return [node.state for node in self.store.nodes(deployment_key=deployment.key)]

    @property
    def alive(self):
        return [view.node_id for view in self.provider.nodes.values() if view.alive]


async def until(condition):
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens behind an interface
            await anyio.sleep(0.01)
