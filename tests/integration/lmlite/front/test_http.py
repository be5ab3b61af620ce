"""What HTTP promises to those who speak it to the one address, byte by byte."""

from __future__ import annotations

import asyncio
import json

from support.front_callers import answered, client, raw_request, says_ok, scene, talk
from support.raw_replicas import HELLO, STREAM_HEAD, RawReplica, chunk, event, front_of, whole


def test_requests_sent_ahead_are_answered_in_their_order():
    async def script(request):
        await asyncio.sleep(0.05 if b"slow" in request.body else 0)
        yield whole({"echo": json.loads(request.body)["n"]})

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front:
            data = b"".join(raw_request({"n": n, "what": "slow" if n == 0 else "quick"}) for n in range(5))
            for parts in ([data], [data[:100], data[100:700], data[700:]]):
                answers = await talk(front, *parts, answers=5)
                assert [json.loads(body)["echo"] for _, body in answers] == [0, 1, 2, 3, 4]
            assert b"not_http" in await answered(front, raw_request(HELLO, headers="a: b\r\n") * 40)

    scene(play)


def test_an_old_client_gets_no_chunks_and_an_end():
    async def script(request):
        yield STREAM_HEAD + chunk(event("one")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front:
            told = await answered(front, raw_request(HELLO).replace(b"HTTP/1.1", b"HTTP/1.0"))
            head, _, body = told.partition(b"\r\n\r\n")
            assert b"connection: close" in head
            assert b"chunked" not in head
            assert body == event("one") + b"data: [DONE]\n\n"

    scene(play)


def test_a_client_that_asks_before_it_sends_its_body_is_told_to_go_on():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front:
            head, _, body = raw_request(HELLO, headers="expect: 100-continue\r\n").partition(b"\r\n\r\n")
            [(first, _), (second, _)] = await talk(front, head + b"\r\n\r\n", body, answers=2)
            assert (first.split()[1], second.split()[1]) == ("100", "200")

    scene(play)


def test_a_head_is_asked_for_without_its_body():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front, client(front) as http:
            for path, status in (("/v1/models", 200), ("/nowhere", 404), ("/ready", 200)):
                answer = await http.head(path)
                assert (answer.status_code, answer.content) == (status, b"")
                assert int(answer.headers["content-length"]) > 0

    scene(play)
