"""An endpoint that scales to zero is never asked how it is, since to ask would start a machine; requests tell."""

import asyncio
from dataclasses import replace

import anyio
import httpx
import pytest

from conduit.errors import NoReplica
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.dispatch import dispatch
from conduit.lmlite.replicas.policies import Routable
from conduit.lmlite.replicas.pool import Pool
from conduit.lmlite.replicas.probes import Probes
from conduit.lmlite.replicas.states import Limits
from conduit.lmlite.request import LMRequest
from support.replicas import completion
from support.world import World, until

REQUEST = LMRequest("owner/m", ({"role": "user", "content": "hi"},))


class Endpoints(World):
    """Nodes that are endpoints, and all that was sent to them."""

    def __init__(self, tmp_path):
        super().__init__(tmp_path)
        self.sent = []
        create, send = self.provider.create, self.http.send

        async def endpoint(spec):
            self.provider.nodes[spec.node_id] = replace(await create(spec), serverless=True)
            return self.provider.nodes[spec.node_id]

        async def noted(replica, method, path, headers, body=b""):
            self.sent.append(f"{method} {path}")
            return await send(replica, method, path, headers, body)

        self.provider.create, self.http.send = endpoint, noted

    def story(self, tell):
        async def body():
            deployment = self.deployment()
            pool, client = await deployment.up(), Client(self.http)

            async def call():
                return await dispatch(pool, client, REQUEST, timeout_s=5)

            try:
                await tell(deployment, pool, call)
            finally:
                await deployment.withdraw()

        asyncio.run(body())


@pytest.fixture
def world(tmp_path):
    world = Endpoints(tmp_path)
    yield world
    world.store.close()


def once(error):
    """An answer that goes wrong the first time."""
    answers = [error]

    def answer(node_id, _):
        if answers:
            raise answers.pop()
        return completion("ok")

    return answer


def test_it_is_ready_as_soon_as_it_is_there_and_nobody_asks_it(world):
    async def tell(deployment, pool, call):
        [replica] = pool.replicas
        client, probes = Client(world.http), Probes(pool, Client(world.http), interval_s=0.02)
        assert replica.elastic
        await client.use(replica)
        assert (await client.readiness(replica)).ready
        assert (await deployment.health()).ready
        await call()
        with anyio.move_on_after(0.2):
            await probes.run()

    world.story(tell)
    assert world.sent == ["POST /v1/chat/completions"]


def test_a_request_that_waits_for_its_machine_brings_no_second_one(world):
    async def tell(deployment, pool, call):
        impatient = Pool(pool.replicas, limits=Limits(stall_s=0.0))
        impatient.lease(Routable("owner/m"))
        with anyio.move_on_after(0.2):
            await Probes(impatient, Client(world.http), interval_s=0.02).run()

    world.story(tell)
    assert world.sent == []


@pytest.mark.parametrize("problem", [httpx.ReadError("reset"), httpx.RemoteProtocolError("closed")])
def test_after_an_answer_that_broke_off_it_takes_requests_as_before(world, problem):
    async def tell(deployment, pool, call):
        reply = await call()
        assert reply.text == "ok"
        asked = sum("chat/completions" in sent for sent in world.sent)
        assert asked == 2
        await call()
        assert sum("chat/completions" in sent for sent in world.sent) == asked + 1

    world.http.answer = once(problem)
    world.story(tell)
    assert len(world.provider.specs) == 1


def test_one_that_took_no_connection_for_a_moment_is_not_given_up(world):
    async def tell(deployment, pool, call):
        with pytest.raises(NoReplica):
            await call()
        assert await deployment.up(seen=pool) is pool
        assert (await call()).text == "ok"

    world.http.answer = once(httpx.ConnectError("no route"))
    world.story(tell)
    assert len(world.provider.specs) == 1


def test_one_that_its_provider_has_no_longer_is_replaced(world):
    async def tell(deployment, pool, call):
        world.provider.kill(pool.replicas[0].node_id)
        with pytest.raises(NoReplica):
            await call()
        await deployment.up(seen=pool)
        await until(lambda: len(world.alive) == 1)
        assert (await call()).replica == world.alive[0]

    world.story(tell)
    assert len(world.provider.specs) == 2
