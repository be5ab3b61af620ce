import datetime as dt
import gzip
import socket
import threading
import time
import tracemalloc
from dataclasses import dataclass

import pytest

from conduit.blocks import http_get, http_post
from conduit.errors import HttpError, HttpStatusError, HttpTimeout, HttpTooLarge

MIB = 1024 * 1024


def test_an_answer_comes_back_whole_and_typed(server):
    server.paths["/page"] = lambda h: h.answer(
        "Grüße".encode("latin-1"), content_type="text/plain; charset=latin-1"
    )
    response = http_get(server.url("/page"), params={"q": "a b", "n": [1, 2]}, headers={"X-Key": "k"})
    assert (response.status, response.text, response.content) == (200, "Grüße", "Grüße".encode("latin-1"))
    assert response.headers["content-type"] == "text/plain; charset=latin-1"
    assert response.url == server.url("/page?q=a+b&n=1&n=2")
    assert server.requests[0].headers["x-key"] == "k"


def test_json_goes_out_from_typed_values_and_comes_back(server):
    @dataclass
    class Order:
        day: dt.date
        name: str

    server.paths["/echo"] = lambda h: h.answer(h.body, content_type=h.headers["content-type"])
    response = http_post(server.url("/echo"), json=[Order(dt.date(2026, 1, 2), "é")])
    assert response.json() == [{"day": "2026-01-02", "name": "é"}]
    assert response.headers["content-type"] == "application/json"
    assert http_post(server.url("/echo"), form={"a": "b c"}).text == "a=b+c"
    assert http_post(server.url("/echo"), content=b"\x00", headers={"content-type": "x/y"}).content == b"\x00"


def endless(sent, *, announced):
    def answer(handler):
        handler.send_response(200)
        if announced:
            handler.send_header("content-length", str(500 * MIB))
        else:
            handler.send_header("connection", "close")
        handler.end_headers()
        for _ in range(500):
            handler.wfile.write(b"x" * MIB)
            sent.append(MIB)

    return answer


@pytest.mark.parametrize("announced", [True, False])
def test_500_megabytes_end_early_without_being_held_in_memory(server, announced):
    sent = []
    server.paths["/big"] = endless(sent, announced=announced)
    tracemalloc.start()
    try:
        with pytest.raises(HttpTooLarge) as caught:
            http_get(server.url("/big"), max_bytes=2 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.limit_bytes == 2 * MIB
    assert sum(sent) < 40 * MIB
    assert peak < 24 * MIB
    assert ("announces 524288000 bytes" in caught.value.message) == announced
    assert len(server.requests) == 1


def test_a_compressed_answer_is_measured_after_decompression(server):
    server.paths["/bomb"] = lambda h: h.answer(gzip.compress(b"0" * 20 * MIB), content_encoding="gzip")
    with pytest.raises(HttpTooLarge):
        http_get(server.url("/bomb"), max_bytes=MIB)


def test_the_body_of_a_redirect_is_not_read(server):
    sent = []

    def answer(handler):
        handler.send_response(302)
        handler.send_header("location", "/page")
        handler.send_header("connection", "close")
        handler.end_headers()
        for _ in range(500):
            handler.wfile.write(b"x" * MIB)
            sent.append(MIB)

    server.paths["/from"] = answer
    server.paths["/page"] = lambda h: h.answer(b"there")
    response = http_get(server.url("/from"))
    assert (response.text, response.url) == ("there", server.url("/page"))
    assert sum(sent) < 40 * MIB


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/loop"])
def test_a_redirect_to_nowhere_is_a_typed_error(server, location):
    server.paths["/loop"] = lambda h: h.answer(status=302, location=location)
    with pytest.raises(HttpError):
        http_get(server.url("/loop"))
    assert len(server.requests) <= 11


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("call", [http_get, http_post])
def test_a_server_that_recovers_is_asked_again(server, status, call):
    answers = [status, status, 200]
    server.paths["/x"] = lambda h: h.answer(b"fine", status=answers.pop(0))
    assert call(server.url("/x")).text == "fine"
    assert answers == []


def test_retry_after_is_waited_for(server):
    times = []

    def answer(handler):
        times.append(time.monotonic())
        handler.answer(status=429 if len(times) == 1 else 200, retry_after=1)

    server.paths["/x"] = answer
    http_get(server.url("/x"))
    assert times[1] - times[0] >= 1


def test_a_pause_of_an_hour_is_an_error_at_once_that_names_it(server):
    server.paths["/x"] = lambda h: h.answer(b"quota", status=429, retry_after=3600)
    with pytest.raises(HttpStatusError) as caught:
        http_get(server.url("/x"))
    assert (caught.value.retry_after_s, len(server.requests)) == (3600, 1)
    assert "3600" in caught.value.hint


@pytest.mark.parametrize("status", [400, 404, 501])
def test_what_another_try_cannot_mend_is_tried_once(server, status):
    server.paths["/x"] = lambda h: h.answer(b"because", status=status)
    with pytest.raises(HttpStatusError, match="because") as caught:
        http_get(server.url("/x"))
    assert (caught.value.status, caught.value.body, len(server.requests)) == (status, "because", 1)


def test_an_error_answer_can_be_asked_for(server):
    server.paths["/x"] = lambda h: h.answer(b"gone", status=503)
    response = http_get(server.url("/x"), raise_for_status=False, retries=1)
    assert (response.status, response.text, len(server.requests)) == (503, "gone", 2)


def test_a_server_that_starts_late_is_reached():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    failed_once = threading.Event()

    def serve():
        failed_once.wait(10)
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup")

    thread = threading.Thread(target=serve)
    thread.start()
    timer = threading.Timer(0.1, failed_once.set)
    timer.start()
    try:
        assert http_get(f"http://127.0.0.1:{port}/", retries=6).text == "up"
    finally:
        thread.join(10)
        timer.join(10)


def test_nobody_there_is_a_typed_error():
    with pytest.raises(HttpError, match="found no server"):
        http_get("http://127.0.0.1:1/", retries=1)


def cut_short(handler):
    handler.send_response(200)
    handler.send_header("content-length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def test_a_get_that_is_cut_in_the_middle_is_asked_again_and_a_post_is_not(server):
    steps = [cut_short, lambda h: h.answer(b"whole")]

    def answer(handler):
        steps.pop(0)(handler)

    server.paths["/x"] = answer
    assert http_get(server.url("/x")).text == "whole"
    server.paths["/x"] = cut_short
    del server.requests[:]
    with pytest.raises(HttpError):
        http_post(server.url("/x"))
    assert len(server.requests) == 1


def drip_body(handler, stopping):
    handler.send_response(200)
    handler.send_header("connection", "close")
    handler.end_headers()
    while not stopping.wait(0.05):
        handler.wfile.write(b".")


def drip_headers(handler, stopping):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not stopping.wait(0.05):
        handler.wfile.write(b"x-more: 1\r\n")


def silence(handler, stopping):
    stopping.wait(30)
    handler.close_connection = True


@pytest.mark.parametrize("slow", [drip_body, drip_headers, silence])
def test_the_time_limit_holds_for_the_whole_answer(server, slow):
    server.paths["/slow"] = lambda h: slow(h, server.stopping)
    with pytest.raises(HttpTimeout) as caught:
        http_get(server.url("/slow"), timeout_s=0.5)
    assert caught.value.timeout_s == 0.5
    assert len(server.requests) == 1


def test_headers_that_http_cannot_carry_are_refused(server):
    server.paths["/x"] = lambda h: h.answer()
    for value in ("a\nb: c", "漢"):
        with pytest.raises(HttpError):
            http_get(server.url("/x"), headers={"x": value})
    assert server.requests == []


def test_a_hundred_threads_fetch_at_once(server):
    server.paths["/x"] = lambda h: h.answer(h.path.encode())
    results = {}
    threads = [
        threading.Thread(
            target=lambda n=n: results.update({n: http_get(server.url("/x"), params={"n": n}).text})
        )
        for n in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {n: f"/x?n={n}" for n in range(100)}
