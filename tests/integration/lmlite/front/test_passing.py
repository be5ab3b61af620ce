"""One address over replicas that are scripts: what passes, and what is answered at the door."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from support.front_callers import OK, answered, client, code_of, raw_request, saying, says_ok, scene, soon
from support.raw_replicas import (
    HELLO,
    REPLICA_TOKEN,
    STREAM_HEAD,
    TOKEN,
    RawReplica,
    chunk,
    event,
    front_of,
    whole,
)


def test_requests_and_answers_pass_as_they_are():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front, client(front) as http:
            body = b'{"model": "m",   "messages": [{"role": "user", "content": "h\\u00e9"}], "unknown": 1}'
            sent = {
                "x-request-id": "mine-1",
                "traceparent": "00-1-2-01",
                "x-conduit-caller": "ada",
                "cookie": "c",
            }
            answer = await http.post("/v1/chat/completions", content=body, headers=sent)
            assert (answer.status_code, answer.json()) == (200, OK)
            assert answer.headers["x-request-id"] == "mine-1"
            [request] = replica.requests
            assert request.body == body
            assert request.headers["authorization"] == f"Bearer {REPLICA_TOKEN}"
            got = {name: request.headers.get(name) for name in sent}
            assert got == sent | {"cookie": None}

    scene(play)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_completions_and_embeddings_pass_too(path):
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front, client(front) as http:
            assert (await http.post(path, json={"model": "m", "input": "x"})).json() == OK
            assert replica.requests[0].path == path

    scene(play)


def test_requests_go_round_the_replicas():
    async def play():
        async with (
            RawReplica(saying("a")) as a,
            RawReplica(saying("b")) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            names = [(await http.post("/v1/chat/completions", json=HELLO)).json()["from"] for _ in range(4)]
            assert sorted(names) == ["a", "a", "b", "b"]
            assert (a.connections, b.connections) == (1, 1)

    scene(play)


def test_a_stream_arrives_event_by_event_as_it_is_made():
    go_on = asyncio.Event()

    async def script(request):
        yield STREAM_HEAD + chunk(event("one"))
        await go_on.wait()
        yield chunk(event("two")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front, client(front) as http:
            async with http.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True}) as answer:
                pieces = answer.aiter_raw()
                assert await anext(pieces) == event("one")
                go_on.set()
                assert b"".join([piece async for piece in pieces]) == event("two") + b"data: [DONE]\n\n"
            assert (await http.get("/ready")).status_code == 200
            assert len(replica.requests) == 1

    scene(play)


def test_a_replicas_own_404_passes_as_it_is():
    async def script(request):
        yield whole({"error": {"message": "no such adapter", "code": "its_own"}}, "404 Not Found")

    async def play():
        async with (
            RawReplica(script) as a,
            RawReplica(script) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            answer = await http.post("/v1/chat/completions", json=HELLO)
            assert (answer.status_code, code_of(answer)) == (404, "its_own")
            assert len(a.requests) + len(b.requests) == 1

    scene(play)


def test_a_refusal_of_the_request_itself_passes_as_it_is_and_is_tried_once():
    refused = {
        "error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}
    }

    async def script(request):
        yield whole(refused, "400 Bad Request")

    async def play():
        async with (
            RawReplica(script) as a,
            RawReplica(script) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            answer = await http.post("/v1/chat/completions", json=HELLO)
            assert (answer.status_code, answer.json()) == (400, refused)
            assert len(a.requests) + len(b.requests) == 1

    scene(play)


def test_a_wrong_token_is_refused_whatever_is_asked_for():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front:
            async with httpx.AsyncClient(base_url=front.url) as http:
                for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
                    for path in ("/v1/models", "/ready", "/metrics", "/nowhere"):
                        answer = await http.get(path, headers=headers)
                        assert (answer.status_code, code_of(answer)) == (401, "unauthorized")
                    refused = await http.post("/v1/chat/completions", json=HELLO, headers=headers)
                    assert refused.status_code == 401
                assert (await http.get("/live")).json() == {"status": "live"}
            assert replica.requests == []

    scene(play)


def test_what_needs_no_replica_is_answered_without_one():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica, models=("m", "org/n")) as front:
            async with client(front) as http:
                models = (await http.get("/v1/models")).json()["data"]
                assert [model["id"] for model in models] == ["m", "org/n"]
                assert (await http.get("/v1/models/org/n")).json()["id"] == "org/n"
                assert code_of(await http.get("/v1/models/x")) == "model_not_found"
                assert (await http.get("/v1/chat/completions")).status_code == 405
                assert (await http.get("/v1/nothing")).status_code == 404
                unknown = await http.post("/v1/chat/completions", json=HELLO | {"model": "gpt-9"})
                assert (unknown.status_code, code_of(unknown)) == (404, "model_not_found")
                ready = (await http.get("/ready")).json()
                assert ready["ready"]
                assert [each["state"] for each in ready["replicas"]] == ["ready"]
            assert replica.requests == []

    scene(play)


def test_a_value_cannot_begin_a_header_of_its_own():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front:
            await answered(
                front,
                raw_request(
                    HELLO, headers="x-conduit-caller: a\nauthorization: Bearer x\r\nconnection: close\r\n"
                ),
            )
            async with client(front) as http:
                await http.post("/v1/chat/completions", json=HELLO, headers={"x-request-id": "bad id"})
            assert all(r.headers["authorization"] == f"Bearer {REPLICA_TOKEN}" for r in replica.requests)
            assert " " not in replica.requests[-1].headers["x-request-id"]

    scene(play)


def test_closing_lets_requests_end_and_frees_the_port():
    go_on = asyncio.Event()

    async def script(request):
        await go_on.wait()
        yield whole(OK)

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front, client(front) as http:
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=HELLO))
            await soon(lambda: replica.requests)
            closing = asyncio.create_task(front.front.aclose(grace_s=10))
            await asyncio.sleep(0.1)
            assert not asking.done()
            go_on.set()
            assert (await asking).json() == OK
            await closing
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", front.port)
            assert front.front.wait(0)

    scene(play)
