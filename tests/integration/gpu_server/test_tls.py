"""HTTPS: with its certificate a server speaks nothing else, and no version that is broken."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl

import httpx
import pytest
import trustme

from gpu_server.access.tls import tls_context
from support.scripted_server import TOKEN, scripted_server

AUTH = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = folder / "server.pem", folder / "server.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return certificate, key


@pytest.fixture(scope="module")
def server(pair):
    with scripted_server(tls_context(*pair), head_timeout_s=1) as running:
        yield running


def pinned(pair) -> ssl.SSLContext:
    """What trusts this certificate and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pair[0].read_text())
    return context


def test_a_caller_that_pins_the_certificate_gets_answers_and_streams(server, pair) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 200}
    with httpx.Client(base_url=server.url, headers=AUTH, verify=pinned(pair)) as client:
        whole = client.post("/v1/chat/completions", json=body)
        assert whole.json()["choices"][0]["message"]["content"] == "word " * 200
        streamed = client.post("/v1/chat/completions", json=body | {"stream": True})
        assert streamed.text.count('"word ') + streamed.text.count(" word ") >= 1
        assert streamed.text.endswith("data: [DONE]\n\n")


def test_a_caller_that_trusts_another_certificate_refuses(server) -> None:
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    with pytest.raises(httpx.ConnectError), httpx.Client(verify=context) as client:
        client.get(f"{server.url}/live")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(server, pair) -> None:
    context = pinned(pair)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1").close()


def test_plain_http_gets_no_answer(server, pair) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        plain.sendall(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1 200" not in plain.recv(4096)
    assert httpx.get(f"{server.url}/live", verify=pinned(pair)).status_code == 200


def test_a_slow_head_is_cut_off_here_too(server, pair) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain,
        pinned(pair).wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"GET /live HTTP/1.1\r\nx: ")
        assert (
            json.loads(connection.recv(65536).partition(b"\r\n\r\n")[2])["error"]["code"] == "head_too_slow"
        )


def test_the_process_announces_https_and_serves_it(start, model, pair) -> None:
    one = start(models=[model()], tls_certificate=str(pair[0]), tls_key=str(pair[1])).listening()
    announced = json.loads(one.announce.read_text())
    assert announced["scheme"] == "https"
    with httpx.Client(verify=pinned(pair)) as client:
        assert client.get(f"https://127.0.0.1:{announced['port']}/live").status_code == 200


def test_a_certificate_that_cannot_be_used_ends_the_process_with_2(start, model, pair) -> None:
    one = start(models=[model()], tls_certificate=str(pair[0]), tls_key=str(pair[0]))
    assert one.exit_code() == 2
    assert str(pair[0]) in one.log
    assert "Traceback" not in one.log
    half = start(models=[model()], tls_certificate=str(pair[0]))
    assert half.exit_code() == 2
    assert "tls_key" in half.log
