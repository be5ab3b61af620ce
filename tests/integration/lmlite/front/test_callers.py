"""Callers of the one address that leave, are slow, send too much, or are too many."""

from __future__ import annotations

import asyncio

import pytest

from conduit.lmlite.front.door import Limits
from support.front_callers import answered, chunks, client, code_of, raw_request, says_ok, scene, soon, talk
from support.raw_replicas import HELLO, STREAM_HEAD, TOKEN, RawReplica, chunk, event, front_of


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_takes_its_request_along(stream):
    async def script(request):
        if stream:
            yield STREAM_HEAD + chunk(event("one"))
        await asyncio.wait_for(request.gone.wait(), 10)

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(raw_request(HELLO))
            if stream:
                await reader.readuntil(b"\n\n")
            await soon(lambda: replica.requests)
            writer.transport.abort()
            await asyncio.wait_for(replica.requests[0].gone.wait(), 1)
            await soon(lambda: front.pool.outstanding == 0)
            async with client(front) as http:
                text = (await http.get("/metrics")).text
            assert 'conduit_front_requests_total{route="/v1/chat/completions",code="499"} 1' in text

    scene(play)


def test_a_reader_that_takes_nothing_slows_the_replica_down_and_is_let_go():
    sent = 0

    async def script(request):
        nonlocal sent
        yield STREAM_HEAD
        while not request.gone.is_set():
            sent += 1
            yield chunk(event("x" * 60_000))

    async def play():
        limits = Limits(stalled_s=1.0)
        async with RawReplica(script) as replica, front_of(replica, limits=limits) as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1024)
            writer.write(raw_request(HELLO))
            await soon(lambda: replica.requests and sent > 5)
            before = -1
            while before != sent:  # the pipe fills, and then nothing moves
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 2000
            await asyncio.wait_for(replica.requests[0].gone.wait(), 10)
            writer.close()

    scene(play)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /live HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 200_000, b"431"),
        (b"GET /live HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 2_000, b"408"),
        (
            f"POST /v1/completions HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n".encode(),
            b"408",
        ),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", b"400"),
        (b"", b""),
    ],
    ids=["large head", "slow head", "slow body", "no http", "nothing"],
)
def test_callers_that_are_too_slow_or_too_large_are_let_go_while_others_go_on(data, status):
    go_on = asyncio.Event()

    async def script(request):
        yield STREAM_HEAD + chunk(event("one"))
        await go_on.wait()
        yield chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play():
        limits = Limits(head_s=0.5, body_s=0.5)
        async with (
            RawReplica(script) as replica,
            front_of(replica, limits=limits) as front,
            client(front) as http,
            http.stream("POST", "/v1/chat/completions", json=HELLO) as beside,
        ):
            pieces = beside.aiter_raw()
            await anext(pieces)
            told = await answered(front, data)
            assert told.partition(b" ")[2].startswith(status)
            go_on.set()
            assert b"".join([piece async for piece in pieces]) == b"data: [DONE]\n\n"

    scene(play)


def test_a_body_that_is_too_large_is_told_while_it_is_still_written():
    async def play():
        limits = Limits(body_bytes=100_000)
        async with (
            RawReplica(says_ok) as replica,
            front_of(replica, limits=limits) as front,
            client(front) as http,
        ):
            for content in (b"x" * 300_000, chunks(b"x" * 1000, 300)):
                answer = await http.post("/v1/chat/completions", content=content)
                assert (answer.status_code, code_of(answer)) == (413, "body_too_large")
            assert replica.requests == []

    scene(play)


def test_connections_beyond_the_most_are_turned_away():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica, limits=Limits(connections=3)) as front:
            held = [await asyncio.open_connection("127.0.0.1", front.port) for _ in range(3)]
            told = await answered(front, b"")
            assert told.startswith(b"HTTP/1.1 503")
            for _, writer in held:
                writer.close()
            await asyncio.sleep(0.1)
            async with client(front) as http:
                assert (await http.post("/v1/chat/completions", json=HELLO)).status_code == 200

    scene(play)


def test_a_refused_body_is_taken_in_and_the_connection_goes_on():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front:
            wrong = raw_request({"x": "y" * 3_000_000}).replace(TOKEN.encode(), b"wrong")
            [(first, _), (second, _)] = await talk(front, wrong, raw_request(HELLO), answers=2)
            assert (first.split()[1], second.split()[1]) == ("401", "200")

    scene(play)


def test_many_callers_at_once_are_all_answered():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front:
            for _ in range(2):
                told = await asyncio.gather(*(talk(front, raw_request(HELLO)) for _ in range(150)))
                assert {head.split()[1] for [(head, _)] in told} == {"200"}
            assert front.pool.outstanding == 0

    scene(play)


def test_a_connection_without_requests_is_closed():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica, limits=Limits(keep_alive_s=0)) as front:
            told = await answered(front, raw_request(HELLO))
            assert told.startswith(b"HTTP/1.1 200")

    scene(play)
