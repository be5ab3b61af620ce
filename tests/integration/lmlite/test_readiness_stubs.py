"""Servers that say one thing of their health and are another, behind real sockets; times are scaled down."""

import asyncio
import contextlib
import json

import anyio
import pytest
from aiohttp import web
from pydantic import SecretStr

from conduit.errors import Overloaded, RequestRefused, RequestTimeout
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.dispatch import dispatch
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.replicas.probes import Probes
from conduit.lmlite.replicas.states import Limits, ReplicaState
from conduit.lmlite.request import LMRequest

LIMITS = Limits(silent_s=1.0, stall_s=0.3, canary_s=0.6)
REQUEST = LMRequest("m", ({"role": "user", "content": "hi"},))


class Stub:
    """Answers `/ready` with what it is told, and chats by a function of the request's body."""

    def __init__(self, chat, ready=None):
        self.ready = ready or {"ready": True, "models": [{"model_id": "m", "state": "ready", "progress": 0}]}
        self.chat = chat
        self.chats = 0

    async def answer(self, request):
        if request.path == "/ready":
            if self.ready == "hangs":
                await asyncio.sleep(3600)
            return (
                web.json_response(self.ready)
                if isinstance(self.ready, dict)
                else web.Response(text=self.ready)
            )
        self.chats += 1
        return await self.chat(await request.json())


def says(text):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"choices": [choice], "usage": {}})


def refuses(status, code="refused"):
    async def chat(_):
        body = {"error": {"message": "no", "type": "error", "param": None, "code": code}}
        return web.json_response(body, status=status, headers={"retry-after": "0"})

    return chat


async def at_once(_):
    return says("quick")


async def never(_):
    await asyncio.sleep(3600)


async def busy_with_long_ones(body):
    """Works for long on a long request, as on a long prompt, and gets round to a short one in between."""
    await asyncio.sleep(0.1 if body.get("max_tokens") == 1 else 2.5)
    return says("at last")


@contextlib.asynccontextmanager
async def serving(**stubs):
    """A pool of the stubs, asked how they are ten times a second; and how to send a request to them."""
    async with contextlib.AsyncExitStack() as stack:
        replicas = []
        for name, stub in stubs.items():
            server = web.Server(stub.answer)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            replicas.append(Replica(name, f"http://127.0.0.1:{runner.addresses[0][1]}", SecretStr("token-1")))
        client = Client()
        stack.push_async_callback(client.aclose)
        pool = Pool(replicas, limits=LIMITS)
        probes = Probes(pool, client, interval_s=0.1)
        await asyncio.gather(*map(probes.look, replicas))
        probing = asyncio.create_task(probes.run())

        async def send(timeout_s=20.0, sent=None):
            return await dispatch(pool, client, REQUEST, timeout_s=timeout_s, sent=sent)

        try:
            yield pool, {replica.node_id: replica for replica in replicas}, send
        finally:
            probing.cancel()
            await asyncio.wait([probing])


async def until(condition):
    with anyio.fail_after(15):
        while not condition():  # noqa: ASYNC110 - what is waited for happens behind a socket
            await anyio.sleep(0.01)


@pytest.mark.parametrize("body", ["ok", "{}", json.dumps({"ready": True}), json.dumps({"models": []})])
def test_one_that_answers_200_too_early_is_starting_and_gets_no_traffic(body):
    early, good = Stub(at_once, ready=body), Stub(at_once)

    async def story():
        async with serving(early=early, good=good) as (pool, replicas, send):
            assert pool.state(replicas["early"], "m") is ReplicaState.STARTING
            assert {(await send()).replica for _ in range(10)} == {"good"}
            assert early.chats == 0
            early.ready = good.ready
            await until(lambda: pool.state(replicas["early"], "m") is ReplicaState.READY)
            assert "early" in {(await send()).replica for _ in range(40)}

    asyncio.run(story())


def test_one_that_is_busy_for_long_is_busy_is_not_replaced_and_answers():
    busy, seen, sent = Stub(busy_with_long_ones), set(), []

    async def story():
        async with serving(busy=busy) as (pool, replicas, send):
            sending = asyncio.create_task(send(sent=sent.append))
            while not sending.done():
                seen.add(pool.state(replicas["busy"], "m"))
                await asyncio.sleep(0.01)
            await sending

    asyncio.run(story())
    assert seen == {ReplicaState.READY, ReplicaState.BUSY}
    assert len(sent) == 1
    assert busy.chats > 2  # canaries went beside the request


def test_one_that_works_visibly_is_never_suspected():
    stub, seen = Stub(busy_with_long_ones), set()

    async def story():
        async with serving(stub=stub) as (pool, replicas, send):
            sending = asyncio.create_task(send())
            while not sending.done():
                stub.ready["models"][0]["progress"] += 1
                seen.add(pool.state(replicas["stub"], "m"))
                await asyncio.sleep(0.01)
            await sending

    asyncio.run(story())
    assert seen == {ReplicaState.READY}
    assert stub.chats == 1


def test_one_that_says_ready_and_does_nothing_is_found_dead_and_its_request_goes_elsewhere():
    dead, good, sent = Stub(never), Stub(at_once), []

    async def story():
        async with serving(dead=dead, good=good) as (pool, replicas, send):
            reply = await send(sent=sent.append)
            assert (reply.replica, len(sent)) == ("good", 2)
            assert pool.state(replicas["dead"]) is ReplicaState.DEAD
            asked = dead.chats
            assert {(await send()).replica for _ in range(5)} == {"good"}
            assert dead.chats == asked
            await asyncio.sleep(0.3)  # it goes on to answer 200
            assert pool.dead() == [replicas["dead"]]

    asyncio.run(story())


def test_one_that_takes_connections_and_answers_nothing_is_found_dead():
    frozen, good = Stub(never, ready="hangs"), Stub(at_once)

    async def story():
        async with serving(good=good) as (pool, _, send):
            async with serving(frozen=frozen) as (_, others, _):
                pool.join(others["frozen"])
                await until(lambda: pool.state(others["frozen"]) is ReplicaState.DEAD)
            assert (await send()).replica == "good"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "error"), [(400, RequestRefused), (401, RequestRefused), (429, Overloaded)]
)
def test_a_storm_of_refusals_takes_no_replica_out(status, error):
    stub = Stub(refuses(status))

    async def story():
        async with serving(stub=stub) as (pool, replicas, send):
            results = await asyncio.gather(*(send(0.2) for _ in range(200)), return_exceptions=True)
            assert all(isinstance(result, error | RequestTimeout) for result in results)
            assert pool.breaker(replicas["stub"]) == "closed"
            assert pool.state(replicas["stub"]) is ReplicaState.READY
            stub.chat = at_once
            chats = stub.chats
            await send()
            assert stub.chats == chats + 1

    asyncio.run(story())


def test_a_full_queue_or_a_missing_model_sends_requests_on_and_opens_no_breaker():
    full, good = Stub(refuses(503, "model_not_ready")), Stub(at_once)

    async def story():
        async with serving(full=full, good=good) as (pool, replicas, send):
            assert {(await send()).replica for _ in range(50)} == {"good"}
            assert pool.breaker(replicas["full"]) == "closed"

    asyncio.run(story())
