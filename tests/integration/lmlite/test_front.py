"""One address over replicas that are scripts: every byte that goes wrong between them is made to."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from conduit.lmlite.front.door import Limits
from support.raw_replicas import (
    CUT,
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

OK = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}


def scene(play):
    asyncio.run(asyncio.wait_for(play(), 40))


async def says_ok(request):
    yield whole(OK, x_batch_id="b")


def saying(name):
    async def script(request):
        yield whole({"from": name})

    return script


@asynccontextmanager
async def client(front):
    async with httpx.AsyncClient(base_url=front.url, headers=front.headers, timeout=20) as http:
        yield http


async def soon(condition, within_s=10.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.01)


async def take(http, seen):
    async with http.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True}) as answer:
        async for piece in answer.aiter_raw():
            seen.append(piece)


def code_of(response):
    return response.json()["error"]["code"]


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


def page(status):
    """What a proxy says in the place of a server that it does not reach."""

    async def script(request):
        yield f"HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".encode()

    return script


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


def raw_request(body, *, headers=""):
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n{headers}"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def answered(front, data, *, then=b""):
    """What comes back for those bytes, until the front ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    try:
        writer.write(data)
        if then:
            await asyncio.sleep(0.1)
            writer.write(then)
        return await asyncio.wait_for(reader.read(), 15)
    except ConnectionError:
        return b""
    finally:
        writer.close()


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


async def chunks(data, count):
    for _ in range(count):
        yield data


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


def test_a_batch_stays_with_its_replica():
    def script_of(name):
        async def script(request):
            if request.method == "POST":
                yield whole(
                    {"home": name, "rows": request.body.count(b"\n"), "id": request.headers["x-batch-id"]}
                )
            else:
                yield whole({"home": name, "path": request.path, "method": request.method})

        return script

    async def play():
        async with (
            RawReplica(script_of("a")) as a,
            RawReplica(script_of("b")) as b,
            front_of(a, b) as front,
            client(front) as http,
        ):
            homes = {}
            for number in range(8):
                sent = await http.post(
                    "/v1/batch", content=chunks(b"{}\n", 5), headers={"x-batch-id": f"batch-{number}"}
                )
                assert (sent.json()["rows"], sent.json()["id"]) == (5, f"batch-{number}")
                homes[f"batch-{number}"] = sent.json()["home"]
            assert set(homes.values()) == {"a", "b"}
            for name, home in homes.items():
                later = (await http.get(f"/v1/batch/{name}?after=2")).json()
                assert later == {"home": home, "path": f"/v1/batch/{name}?after=2", "method": "GET"}
                assert (await http.delete(f"/v1/batch/{name}")).json()["home"] == home
            made = (await http.post("/v1/batch", content=b"{}\n")).json()["id"]
            assert made.startswith("batch_")

    scene(play)


def test_a_batch_that_the_front_does_not_know_is_found():
    def script_of(knows):
        async def script(request):
            yield whole({"knows": knows}, "200 OK" if knows else "404 Not Found")

        return script

    async def play():
        for order in ((True, False), (False, True)):
            async with (
                RawReplica(script_of(order[0])) as a,
                RawReplica(script_of(order[1])) as b,
                front_of(a, b) as front,
                client(front) as http,
            ):
                for name in ("x", "y", "z"):
                    assert (await http.get(f"/v1/batch/{name}/status")).status_code == 200
                before = len(a.requests) + len(b.requests)
                for name in ("x", "y", "z"):  # now it knows where they are
                    assert (await http.get(f"/v1/batch/{name}")).status_code == 200
                assert len(a.requests) + len(b.requests) == before + 3

    scene(play)


async def talk(front, *parts, answers=1):
    """The first answers to what is sent, one part after the other; then the connection is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        return [await asyncio.wait_for(answer_from(reader), 10) for _ in range(answers)]
    finally:
        writer.close()


async def answer_from(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if "transfer-encoding: chunked" in head:
        return head, await reader.readuntil(b"0\r\n\r\n")
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


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


def test_a_head_is_asked_for_without_its_body():
    async def play():
        async with RawReplica(says_ok) as replica, front_of(replica) as front, client(front) as http:
            for path, status in (("/v1/models", 200), ("/nowhere", 404), ("/ready", 200)):
                answer = await http.head(path)
                assert (answer.status_code, answer.content) == (status, b"")
                assert int(answer.headers["content-length"]) > 0

    scene(play)
