import asyncio
import contextlib
import ssl

import pytest
import trustme
from pydantic import SecretStr

from conduit.lmlite.replicas import connections as module
from conduit.lmlite.replicas.answer import ConnectFailed, ConnectionBroken, whole
from conduit.lmlite.replicas.connections import Connections
from conduit.lmlite.replicas.pool import Replica
from support.raw_replicas import CUT, STREAM_HEAD, RawReplica, chunk
from support.raw_replicas import whole as answer_of

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def scene(play, script):
    async def body():
        async with RawReplica(script) as server:
            connections = Connections()
            try:
                await asyncio.wait_for(play(server, connections), 30)
            finally:
                await connections.aclose()

    asyncio.run(body())


def replica(server, **fields):
    return Replica("n", fields.pop("url", server.url), SecretStr("token"), **fields)


async def get(connections, server):
    answer = await connections.send(replica(server), "GET", "/", {})
    try:
        return await whole(answer)
    finally:
        answer.close()


async def ok(request):
    yield OK


def held_by(event):
    async def script(request):
        await event.wait()
        yield OK

    return script


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the server is a stand-in without events
            await asyncio.sleep(0.01)


def test_requests_one_after_the_other_share_one_connection():
    async def play(server, connections):
        for _ in range(5):
            assert await get(connections, server) == b"ok"
        assert server.connections == 1

    scene(play, ok)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_replica_behind_another_servers_path_is_asked_below_it(slash):
    async def play(server, connections):
        there = replica(server, url=f"{server.url}/proxy/pod1/8000{slash}")
        answer = await connections.send(there, "POST", "/v1/chat/completions?x=1", {}, b"{}")
        assert await whole(answer) == b"ok"
        answer.close()
        assert await get(connections, server) == b"ok"
        assert [request.path for request in server.requests] == [
            "/proxy/pod1/8000/v1/chat/completions?x=1",
            "/",
        ]
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"

    scene(play, ok)


def test_requests_at_a_time_have_a_connection_each_and_later_ones_reuse_them():
    go_on = asyncio.Event()

    async def play(server, connections):
        for _ in range(2):
            asking = [asyncio.create_task(get(connections, server)) for _ in range(60)]
            await until(lambda: server.connections == 60)
            go_on.set()
            assert await asyncio.gather(*asking) == [b"ok"] * 60
        assert server.connections == 60

    scene(play, held_by(go_on))


def test_an_answer_taken_late_is_not_mixed_with_the_next_one_on_its_connection():
    answers = iter([b"one", b"two"])

    async def script(request):
        text = next(answers)
        yield b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n" + text

    async def play(server, connections):
        first = await connections.send(replica(server), "GET", "/", {})
        second = await connections.send(replica(server), "GET", "/", {})
        assert (await whole(first), await whole(second)) == (b"one", b"two")
        first.close()
        second.close()
        assert server.connections == 1

    scene(play, script)


def test_a_connections_answers_are_read_each_by_itself():
    """Interim answers, trailers and a line end too many belong to none but their own."""
    first = (
        b"HTTP/1.1 100 Continue\r\nx-a: interim\r\n\r\n"
        + STREAM_HEAD
        + chunk(b"ok")
        + b"0\r\nx-b: trailer\r\n\r\n"
    )
    answers = iter([first, b"\r\n" + OK, OK])

    async def script(request):
        yield next(answers)

    async def play(server, connections):
        names = []
        for _ in range(3):
            answer = await connections.send(replica(server), "GET", "/", {})
            assert (answer.status, await whole(answer)) == (200, b"ok")
            names.append([name for name, _ in answer.headers])
        assert names == [[b"content-type", b"transfer-encoding"], [b"content-length"], [b"content-length"]]
        assert server.connections == 1

    scene(play, script)


def test_a_server_that_talks_without_being_asked_is_left():
    async def script(request):
        yield OK
        await asyncio.sleep(0.05)
        yield OK

    async def play(server, connections):
        assert await get(connections, server) == b"ok"
        await until(lambda: server.open == 0)

    scene(play, script)


def test_a_cancelled_request_closes_its_connection_and_the_server_sees_it():
    go_on = asyncio.Event()

    async def play(server, connections):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await get(connections, server)
        await asyncio.wait_for(server.requests[0].gone.wait(), 1)
        go_on.set()
        assert await get(connections, server) == b"ok"
        assert server.connections == 2

    scene(play, held_by(go_on))


def test_connections_idle_for_long_are_closed(monkeypatch):
    monkeypatch.setattr(module, "KEEPALIVE_S", 0.05)

    async def play(server, connections):
        go = [asyncio.create_task(get(connections, server)) for _ in range(4)]
        await asyncio.gather(*go)
        await asyncio.sleep(0.1)
        for _ in range(8):
            await get(connections, server)
        await until(lambda: server.open <= 1)

    scene(play, ok)


def test_idle_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_IDLE", 3)
    go_on = asyncio.Event()

    async def play(server, connections):
        asking = [asyncio.create_task(get(connections, server)) for _ in range(10)]
        await until(lambda: server.connections == 10)
        go_on.set()
        await asyncio.gather(*asking)
        await until(lambda: server.open == 3)

    scene(play, held_by(go_on))


@pytest.mark.parametrize("beyond", [b"", OK, b"H", b"garbage"])
def test_a_connection_that_was_closed_or_said_more_than_was_asked_is_not_used_again(beyond):
    async def script(request):
        yield OK + beyond
        if not beyond:
            yield CUT

    async def play(server, connections):
        for number in range(3):
            assert await get(connections, server) == b"ok"
            await until(lambda: server.open == 0)
            assert server.connections == number + 1

    scene(play, script)


def test_what_breaks_before_and_after_the_connection_is_told_apart():
    async def script(request):
        yield {
            "/head": b"HTTP/1.1 200 OK\r\nx: ",
            "/body": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "/none": b"",
            "/noise": b"SSH-2.0\r\n\r\n",
            "/big": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        }[request.path]
        if request.path != "/big":
            yield CUT
        await request.gone.wait()

    async def play(server, connections):
        for path in ("/head", "/body", "/none", "/noise", "/big"):
            with pytest.raises(ConnectionBroken):
                await whole(await connections.send(replica(server), "GET", path, {}))
        with pytest.raises(ConnectFailed, match=r"refused|Errno"):
            await connections.send(replica(server, url="http://127.0.0.1:1"), "GET", "/", {})

    scene(play, script)


def test_a_reader_that_stops_stops_the_server():
    sent = 0

    async def script(request):
        nonlocal sent
        yield STREAM_HEAD
        for _ in range(2000):
            sent += 1
            yield chunk(b"x" * 50_000)
        yield b"0\r\n\r\n"

    async def play(server, connections):
        answer = await connections.send(replica(server), "GET", "/", {})
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 1000
        assert len(await whole(answer)) == 2000 * 50_000

    scene(play, script)


def test_a_body_may_be_sent_in_pieces():
    async def script(request):
        yield answer_of({"sum": sum(request.body)})

    async def pieces():
        for number in range(50):
            yield bytes([number]) * 10_000

    async def play(server, connections):
        answer = await connections.send(replica(server), "POST", "/", {}, pieces())
        assert await whole(answer) == b'{"sum": %d}' % (sum(range(50)) * 10_000)

    scene(play, script)


def test_a_header_cannot_end_its_line():
    async def play(server, connections):
        headers = {"x-request-id": "a\r\nauthorization: Bearer stolen\r\n\r\nGET /other HTTP/1.1"}
        await whole(await connections.send(replica(server), "GET", "/", headers))
        assert await get(connections, server) == b"ok"
        assert [request.path for request in server.requests] == ["/", "/"]
        assert server.requests[0].headers["authorization"] == "Bearer token"

    scene(play, ok)


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def pem(certificate):
    return certificate.cert_chain_pems[0].bytes().decode()


def test_the_pinned_certificate_counts_and_no_other():
    authority = trustme.CA()
    own, other = authority.issue_cert("replica.invalid"), authority.issue_cert("replica.invalid")

    async def body():
        async with RawReplica(ok, tls=serving(own)) as server:
            connections = Connections()
            try:
                url = server.url.replace("http:", "https:")
                answer = await connections.send(
                    replica(server, url=url, certificate=pem(own)), "GET", "/", {}
                )
                assert await whole(answer) == b"ok"
                refused = [pem(other), authority.cert_pem.bytes().decode(), None]
                for certificate in refused:
                    with pytest.raises(ConnectFailed):
                        await connections.send(
                            replica(server, url=url, certificate=certificate), "GET", "/", {}
                        )
                assert len(server.requests) == 1
            finally:
                await connections.aclose()

    asyncio.run(asyncio.wait_for(body(), 30))
