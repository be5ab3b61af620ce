"""Slow, broken and hostile connections, on real sockets: bounded, told why, and unfelt by a stream beside them."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

import httpx
import pytest

from support.scripted_server import TOKEN, ScriptedServer, scripted_server

AUTH = f"authorization: Bearer {TOKEN}\r\n"
DEADLINE_S = 20.0


def request(content: str = "hi", *, max_tokens: int = 3, stream: bool = False, **headers: str) -> bytes:
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "stream": stream,
        }
    ).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{AUTH}{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def opened(server: ScriptedServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """All that the server sends until it ends the connection."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def until(condition, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def told(answer: bytes) -> tuple[int, str]:
    """Status and error code of a refusal in OpenAI's form."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


class Beside:
    """A stream that a good caller reads all the while."""

    def __init__(self, server: ScriptedServer) -> None:
        self.pieces, self.failed = 0, ""
        self._leaves = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(server,))

    def _read(self, server: ScriptedServer) -> None:
        with opened(server) as connection:
            connection.sendall(request("beside", max_tokens=90_000, stream=True))
            while not self._leaves.is_set():
                piece = connection.recv(65536)
                if not piece or b'"error"' in piece:
                    self.failed = f"after {self.pieces} pieces: {piece[-200:]!r}"
                    return
                self.pieces += 1

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.pieces > 3, "the stream beside begins")
        return self

    def __exit__(self, *_: object) -> None:
        seen = self.pieces
        until(lambda: self.pieces > seen + 3 or self.failed, "the stream beside goes on")
        self._leaves.set()
        self._thread.join(DEADLINE_S)
        assert not self.failed


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Short limits, a stream beside, and at the end nothing left open."""
    with scripted_server(
        head_timeout_s=0.6, body_timeout_s=0.6, write_timeout_s=0.6, max_connections=40
    ) as running:
        assert httpx.get(f"{running.url}/live").status_code == 200  # the loop keeps what its first one opens
        until(lambda: running.connections.count == 0, "that one is forgotten")
        before = len(os.listdir("/proc/self/fd"))
        with Beside(running):
            yield running
        until(lambda: running.connections.count == 0, "all connections are forgotten")
        until(lambda: running.engine.running == 0, "nothing is left in the engine")
        until(lambda: len(os.listdir("/proc/self/fd")) <= before, "file descriptors return")


def trickle(connection: socket.socket, data: bytes, every_s: float = 0.02) -> bytes:
    """Sends a byte at a time until the server has enough of it; what it said."""
    connection.settimeout(every_s)
    found, began = b"", time.monotonic()
    for position in range(len(data)):
        assert time.monotonic() - began < DEADLINE_S
        try:
            connection.send(data[position : position + 1])
            if not (piece := connection.recv(65536)):
                break
            found += piece
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return found


def test_a_head_that_trickles_in_is_cut_off(server) -> None:
    with opened(server) as connection:
        answer = trickle(connection, b"GET /live HTTP/1.1\r\nx-slow: " + b"y" * 5000)
    assert told(answer) == (408, "head_too_slow")


def test_empty_lines_do_not_keep_a_connection(server) -> None:
    with opened(server) as connection:
        answer = trickle(connection, b"\r\n" * 5000)
    assert told(answer) == (408, "head_too_slow")


def test_a_connection_that_sends_nothing_is_closed(server) -> None:
    with opened(server) as connection:
        assert until_closed(connection) == b""


def test_the_next_head_on_a_kept_connection_has_its_time_too(server) -> None:
    with opened(server) as connection:
        connection.sendall(request())
        while not connection.recv(65536).endswith(b"}"):
            pass
        answer = trickle(connection, b"GET /live HTTP/1.1\r\nx-slow: " + b"y" * 5000)
    assert told(answer) == (408, "head_too_slow")


def test_a_body_that_trickles_in_is_cut_off(server) -> None:
    whole = request("word " * 2000)
    head, body = whole.split(b"\r\n\r\n", 1)
    with opened(server) as connection:
        connection.sendall(head + b"\r\n\r\n")
        answer = trickle(connection, body)
    assert told(answer) == (408, "body_too_slow")


def test_a_refused_caller_cannot_keep_its_connection_by_its_body(server) -> None:
    with opened(server) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
        connection.sendall(head)
        answer = trickle(connection, b"x" * 5000)
    assert told(answer) == (401, "invalid_api_key")


def test_a_reader_that_takes_nothing_is_taken_out_of_the_engine(server) -> None:
    server.engine.word = "x" * 20_000
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(DEADLINE_S)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request("never read", max_tokens=50_000, stream=True))
        until(lambda: server.engine.running == 2, "it is in the engine")
        until(lambda: server.engine.running == 1, "it is taken out")
        assert server.connections.turned_away["reader_stalled"] == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_slow_reader_that_takes_something_is_served_to_the_end(server, stream: bool) -> None:
    server.engine.word = "x" * 100_000
    got = b""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        connection.settimeout(DEADLINE_S)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request("slowly", max_tokens=100, stream=stream, connection="close"))
        while piece := connection.recv(65536):
            got += piece
            time.sleep(0.015)  # the reader's own pace, which is what is tested
    assert got.count(b"x" * 100_000) == 100


def test_a_head_without_end_is_refused_before_it_is_whole(server) -> None:
    with opened(server) as connection:
        with suppress(ConnectionError):
            connection.sendall(b"GET /live HTTP/1.1\r\nx-long: " + b"y" * 200_000)
        assert told(until_closed(connection)) == (431, "headers_too_large")


def test_too_many_headers_are_refused(server) -> None:
    many = "".join(f"x-{number}: 1\r\n" for number in range(500))
    with opened(server) as connection:
        connection.sendall(f"GET /live HTTP/1.1\r\nconnection: close\r\n{many}\r\n".encode())
        assert told(until_closed(connection)) == (431, "headers_too_large")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"HELLO\r\n\r\n",
        b"GET /live HTTP/9.9\r\n\r\n",
        b"GET /live HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /live HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET /live HTTP/1.1\r\nx-folded: a\r\n b\r\n\r\n",
        b"GET /live HTTP/1.1\r\nx-null: a\x00b\r\n\r\n",
        b"GET /l\xffve HTTP/1.1\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/models HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=lambda data: repr(data)[2:40],
)
def test_bytes_that_are_no_http_get_a_400(server, data: bytes) -> None:
    with opened(server) as connection:
        connection.sendall(data)
        assert told(until_closed(connection)) == (400, "bad_http")


@pytest.mark.parametrize("given", ["a\r\nset-cookie: x=1", "a\nb", "a\x00b", "ü" * 4])
def test_a_request_id_cannot_write_headers(server, given: str) -> None:
    with opened(server) as connection:
        connection.sendall(
            b"GET /live HTTP/1.1\r\nconnection: close\r\nx-request-id: " + given.encode() + b"\r\n\r\n"
        )
        head = until_closed(connection).partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert given.encode() not in head


def test_pipelined_requests_are_answered_in_order(server) -> None:
    ids = [f"number-{number}" for number in range(5)]
    with opened(server) as connection:
        connection.sendall(b"".join(request(**{"x-request-id": each}) for each in ids[:-1]))
        connection.sendall(request(**{"x-request-id": ids[-1], "connection": "close"}))
        answer = until_closed(connection)
    assert answer.count(b"HTTP/1.1 200") == 5
    places = [answer.index(each.encode()) for each in ids]
    assert places == sorted(places)


def test_a_flood_of_pipelined_requests_ends_the_connection(server) -> None:
    with opened(server) as connection:
        with suppress(ConnectionError):
            connection.sendall(request() * 2000)
        assert until_closed(connection).count(b"HTTP/1.1 200") < 100


def test_rubbish_behind_a_request_does_not_get_into_its_answer(server) -> None:
    with opened(server) as connection:
        connection.sendall(request(stream=True, max_tokens=50_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"\x00\x01 rubbish\r\n\r\n")
        assert b"bad_http" not in until_closed(connection)
    until(lambda: server.engine.running == 1, "its caller counts as gone")


def test_a_request_for_another_protocol_is_answered_in_this_one(server) -> None:
    with opened(server) as connection:
        connection.sendall(
            b"GET /live HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x05hello"
        )
        answer = until_closed(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer


def test_connections_beyond_the_limit_are_turned_away_and_room_comes_back() -> None:
    with scripted_server(max_connections=40) as running, Beside(running):
        with ExitStack() as stack:
            crowd = [stack.enter_context(opened(running)) for _ in range(80)]
            until(lambda: running.connections.count == 40, "the rest are closed")
            assert [told(until_closed(late)) for late in crowd[39:]] == [(503, "too_many_connections")] * 41
        until(lambda: running.connections.count == 1, "only the stream beside is left")
        assert httpx.get(f"{running.url}/live").status_code == 200


def test_three_thousand_connections_are_bounded() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with scripted_server(max_connections=500) as running, Beside(running), ExitStack() as stack:
            for _ in range(min(3000, hard // 2 - 200)):
                stack.enter_context(opened(running))
            until(lambda: running.connections.count <= 500, "the rest are closed")
            stack.close()
            until(lambda: running.connections.count == 1, "all are forgotten")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_draining_refuses_what_is_new_and_finishes_what_runs(server) -> None:
    server.draining = True
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        refused = client.get(f"{server.url}/v1/models")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        assert client.get(f"{server.url}/live").status_code == 200
        assert client.get(f"{server.url}/ready").status_code in (200, 503)
    server.draining = False
