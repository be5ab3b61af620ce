"""Replicas behind the one address that are cut, full, or hidden by a proxy's own answer."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from support.front_callers import OK, client, code_of, page, says_ok, scene, take
from support.raw_replicas import CUT, HELLO, STREAM_HEAD, RawReplica, chunk, event, front_of, whole


@pytest.mark.parametrize(
    "tail", [b"", chunk(b'data: {"choices": [{"de'), b"40\r\ndata: {"], ids=["event", "chunk", "byte"]
)
def test_a_stream_cut_upstream_ends_with_an_error_event_and_never_with_done(tail):
    async def script(request):
        yield STREAM_HEAD + chunk(event("one")) + tail
        await asyncio.sleep(0.05)
        yield CUT

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front, client(front) as http:
            seen = []
            with pytest.raises(httpx.RemoteProtocolError):
                await take(http, seen)
            first, error, rest = b"".join(seen).split(b"\n\n")
            assert first + b"\n\n" == event("one")
            assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "engine_lost"
            assert rest == b""
            assert len(replica.requests) == 1

    scene(play)


def test_an_end_without_done_stays_what_it_is():
    async def script(request):
        yield STREAM_HEAD + chunk(event("one")) + b"0\r\n\r\n"

    async def play():
        async with RawReplica(script) as replica, front_of(replica) as front, client(front) as http:
            answer = await http.post("/v1/chat/completions", json=HELLO | {"stream": True})
            assert answer.content == event("one")

    scene(play)


def test_a_replica_lost_before_its_first_event_is_no_loss():
    async def dies(request):
        yield STREAM_HEAD
        yield CUT

    async def works(request):
        yield STREAM_HEAD + chunk(event("two")) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play():
        async with (
            RawReplica(dies) as a,
            RawReplica(works) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            for _ in range(2):
                answer = await http.post("/v1/chat/completions", json=HELLO | {"stream": True})
                assert answer.content == event("two") + b"data: [DONE]\n\n"

    scene(play)


def test_a_replica_lost_in_the_middle_of_a_whole_answer_is_no_loss_either():
    async def dies(request):
        yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
        yield CUT

    async def play():
        async with (
            RawReplica(dies) as a,
            RawReplica(says_ok) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            assert (await http.post("/v1/chat/completions", json=HELLO)).json() == OK

    scene(play)


def test_when_all_replicas_are_full_the_caller_is_told_at_once_when_to_come_back():
    def full(seconds):
        async def script(request):
            yield whole({"error": {"message": "full"}}, "429 Too Many Requests", retry_after=seconds)

        return script

    async def play():
        async with (
            RawReplica(full("7")) as a,
            RawReplica(full("3")) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            answer = await http.post("/v1/chat/completions", json=HELLO)
            assert (answer.status_code, code_of(answer), answer.headers["retry-after"]) == (
                429,
                "queue_full",
                "3",
            )
            assert (len(a.requests), len(b.requests)) == (1, 1)

    scene(play)


def test_one_full_replica_is_passed_over():
    async def full(request):
        yield whole({"error": {"message": "full"}}, "429 Too Many Requests", retry_after="30")

    async def play():
        async with (
            RawReplica(full) as a,
            RawReplica(says_ok) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            answers = [await http.post("/v1/chat/completions", json=HELLO) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200] * 3

    scene(play)


@pytest.mark.parametrize("status", ["502 Bad Gateway", "404 Not Found", "524 A Timeout Occurred"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_a_proxy_says_in_a_replicas_place_reaches_no_caller(status, stream):
    async def play():
        async with (
            RawReplica(page(status)) as a,
            RawReplica(says_ok) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            for _ in range(2):
                answer = await http.post("/v1/chat/completions", json=HELLO | {"stream": stream})
                assert (answer.status_code, answer.json()) == (200, OK)
            assert len(b.requests) == 2
            assert a.requests

    scene(play)


def test_where_proxies_reach_no_replica_the_caller_is_told_so_in_openais_form():
    async def play():
        async with RawReplica(page("502 Bad Gateway")) as a, front_of(a) as front, client(front) as http:
            answer = await http.post("/v1/chat/completions", json=HELLO)
            assert (answer.status_code, code_of(answer)) == (503, "engine_lost")
            assert "<html>" not in answer.text

    scene(play)


def test_no_answer_within_the_deadline_is_a_504():
    async def script(request):
        await request.gone.wait()
        yield b""

    async def play():
        async with (
            RawReplica(script) as replica,
            front_of(replica, timeout_s=0.3) as front,
            client(front) as http,
        ):
            answer = await http.post("/v1/chat/completions", json=HELLO)
            assert (answer.status_code, code_of(answer)) == (504, "timeout")
            await asyncio.wait_for(replica.requests[0].gone.wait(), 5)

    scene(play)
