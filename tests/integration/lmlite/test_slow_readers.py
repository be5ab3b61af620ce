"""A reader that stops reading makes the server stop writing; one that leaves ends the request in the engine."""

import asyncio
import time
import urllib.request

import pytest
from pydantic import SecretStr

from conduit.errors import ReplicaLost
from conduit.lmlite.calls import streams
from conduit.lmlite.calls.calling import _client
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.pool import Replica
from conduit.lmlite.request import LMRequest, Sampling
from support.scripted_server import TOKEN, ScriptedEngine, scripted_server

CHAT = [{"role": "user", "content": "hi"}]
MANY = 90_000


@pytest.fixture
def gush(monkeypatch):
    """The engine writes 2 KB a token as fast as it can."""
    monkeypatch.setattr(ScriptedEngine, "word", "word " * 400)
    monkeypatch.setattr(ScriptedEngine, "pause_s", 0)


def reading(server, tokens=MANY):
    """The pieces of an answer of that server, on the way that all streams go."""
    replica = Replica("n1", server.url, SecretStr(TOKEN))
    request = LMRequest("m", tuple(CHAT), sampling=Sampling(max_tokens=tokens))
    return streams.events(lambda emit: _client(portal()).stream(replica, request, emit))


def standing(count, within_s=20.0):
    """The count once it grows no more."""
    deadline, seen = time.monotonic() + within_s, -1
    while (now := count()) != seen:
        assert time.monotonic() < deadline, "it goes on and on"
        seen = now
        portal().call(asyncio.sleep, 0.3)
    return seen


def test_a_reader_that_stops_stops_the_engine_and_one_that_goes_on_gets_all(gush):
    with scripted_server() as server:
        stream = reading(server, 20_000)
        pieces = [next(stream)]
        stopped_at = standing(lambda: server.engine.counters.completion_tokens)
        assert (
            stopped_at < 15_000
        )  # what the buffers of both kernels' ends hold, and a bit; the rest is not made
        pieces += stream
        assert "".join(pieces) == ScriptedEngine.word * 20_000
        assert server.engine.counters.completion_tokens == 20_000


def test_the_server_gives_up_a_reader_that_takes_nothing(gush, until):
    with scripted_server(write_timeout_s=0.5) as server:
        stream = reading(server)
        next(stream)
        until(lambda: server.engine.running == 0)
        with pytest.raises(ReplicaLost):
            for _ in stream:
                pass
        assert server.engine.counters.completion_tokens < MANY


@pytest.mark.parametrize("form", ["stream", "astream", "typed"])
def test_leaving_a_stream_ends_the_request_in_the_engine(deploy, form, until):
    def running(endpoint):
        request = urllib.request.Request(
            f"{endpoint.url.removesuffix('/v1')}/metrics",
            headers={"authorization": f"Bearer {endpoint.token.get_secret_value()}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("gpu_server_running{"))

    async def leave(stream):
        await anext(stream)
        assert await asyncio.to_thread(running, endpoint) == 1
        await stream.aclose()

    with deploy() as lm:
        [endpoint] = lm.endpoints
        if form == "astream":
            asyncio.run(leave(lm.astream(messages=CHAT, max_tokens=4000)))
        else:
            asked = {"messages": CHAT} if form == "stream" else {"output": list[str]}
            stream = lm.stream(**asked, max_tokens=4000)
            next(stream)
            assert running(endpoint) == 1
            stream.close()
        until(lambda: running(endpoint) == 0, within_s=10)
