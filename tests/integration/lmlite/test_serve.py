"""`lm.serve()` over real replicas, and `conduit serve` as its user runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import trustme

import random_weights
from conduit.errors import ArgumentInvalid, NoReplica
from conduit.lmlite.calls.calling import _client
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.pool import Replica
from conduit.testing import FakeLM, override
from support.command_line import CommandLine
from support.command_line import until as eventually

CHAT = {"messages": [{"role": "user", "content": "hi there"}], "max_tokens": 4, "temperature": 0}


def asked(front, weights, **fields):
    return front.url + "/chat/completions", {
        "json": CHAT | {"model": str(weights)} | fields,
        "headers": {"authorization": f"Bearer {front.token.get_secret_value()}"},
        "timeout": 40,
    }


def ask(front, weights, **fields):
    url, options = asked(front, weights, **fields)
    return httpx.post(url, **options)


def metric(lm, name):
    [replica] = lm.endpoints
    headers = {"authorization": f"Bearer {replica.token.get_secret_value()}"}
    text = httpx.get(replica.url.removesuffix("/v1") + "/metrics", headers=headers).text
    found = [line for line in text.splitlines() if not line.startswith("#") and name in line]
    assert found, name
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def test_the_first_request_brings_the_deployment_up(deploy, weights):
    lm = deploy(replicas=2)
    with lm.serve() as front:
        headers = {"authorization": f"Bearer {front.token.get_secret_value()}"}
        root = front.url.removesuffix("/v1")
        assert httpx.get(f"{root}/ready", headers=headers).status_code == 503
        assert httpx.get(f"{root}/v1/models", headers=headers).json()["data"][0]["id"] == str(weights)
        assert not lm.ready
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: ask(front, weights), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["choices"][0]["message"]["content"] for answer in answers}) == 1
        assert httpx.get(f"{root}/ready", headers=headers).status_code == 200
        assert lm.ready


def test_a_replica_that_is_killed_is_not_noticed_and_comes_back(deploy, weights, processes, until):
    with deploy(replicas=2) as lm, lm.serve() as front:
        first, _ = processes()
        first.kill()
        answers = [ask(front, weights) for _ in range(6)]
        assert {answer.status_code for answer in answers} == {200}
        until(lambda: len(processes()) == 2 and lm.ready, within_s=45)
        assert ask(front, weights).status_code == 200


@pytest.fixture(scope="module")
def slow_weights(tmp_path_factory):
    """A model that takes many seconds for a long answer."""
    folder = tmp_path_factory.mktemp("slow") / "m"
    return random_weights.make(folder, hidden=256, layers=8, heads=4, intermediate=1024)


def test_a_caller_that_leaves_takes_its_work_off_the_engine(deploy, slow_weights, until):
    with deploy(model=slow_weights) as lm, lm.serve() as front:
        url, options = asked(front, slow_weights, stream=True, max_tokens=3500, ignore_eos=True)
        with httpx.stream("POST", url, **options) as answer:
            pieces = answer.iter_raw()  # dropped, it would close the connection
            assert b"error" not in next(pieces)
            assert metric(lm, "running") == 1
        until(lambda: metric(lm, "running") == 0, within_s=5)


def test_calls_and_requests_share_the_replicas_and_agree(deploy, weights):
    with deploy(replicas=2) as lm, lm.serve() as front:
        text = lm(messages=CHAT["messages"], max_tokens=12)
        whole = ask(front, weights, max_tokens=12).json()
        assert whole["choices"][0]["message"]["content"] == text


def test_it_speaks_https_with_a_certificate(deploy, weights, tmp_path):
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    own.cert_chain_pems[0].write_to_path(certificate)
    own.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    lm = deploy()
    with lm.serve(tls_certificate=certificate, tls_key=key) as front:
        assert front.url.startswith("https://")
        url, options = asked(front, weights)
        with httpx.Client(verify=context) as client:
            assert client.post(url, **options).status_code == 200
    with pytest.raises(ArgumentInvalid, match="go together"):
        lm.serve(tls_certificate=certificate)
    with pytest.raises(ArgumentInvalid, match="cannot be used"):
        lm.serve(tls_certificate=certificate, tls_key=certificate)


def test_what_cannot_be_served_is_told_before_anything_starts(deploy):
    lm = deploy()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ArgumentInvalid, match="cannot be had") as caught:
            lm.serve(taken.getsockname()[1])
        assert caught.value.argument == "port"
    for host in ("203.0.113.7", "no such host"):
        with pytest.raises(ArgumentInvalid):
            lm.serve(host=host)
    with pytest.raises(ArgumentInvalid, match="at least 8") as short:
        lm.serve(token="short")
    assert "short" not in str(short.value)
    with override(lm=FakeLM()), pytest.raises(NoReplica, match="substitute"):
        lm.serve()
    assert lm.health().state == "absent"


def test_closing_twice_and_from_two_threads_is_closing_once(deploy):
    front = deploy().serve()
    threads = [threading.Thread(target=front.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert front.wait(20)
    for thread in threads:
        thread.join()
    front.close()
    assert repr(front).startswith("Front('http://127.0.0.1:")


def test_it_is_served_and_closed_from_a_loop_of_ones_own(deploy, weights):
    async def play():
        async with await deploy().aserve() as front, httpx.AsyncClient() as client:
            url, options = asked(front, weights)
            assert (await client.post(url, **options)).status_code == 200

    asyncio.run(play())


def _in_child(endpoint, queue):
    replica = Replica("n", endpoint.url.removesuffix("/v1"), endpoint.token)
    queue.put(portal().call(_client(portal()).readiness, replica).ready)
    queue.close()
    queue.join_thread()
    os._exit(0)  # past the ends of what the parent's tests had open


@pytest.mark.filterwarnings(
    "ignore:This process.*is multi-threaded:DeprecationWarning"
)  # forking is the point
def test_a_forked_child_has_connections_of_its_own(deploy, weights):
    with deploy() as lm, lm.serve() as front:
        text = ask(front, weights).json()["choices"][0]["message"]["content"]
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_in_child, args=(lm.endpoints[0], queue))
        child.start()
        assert queue.get(timeout=30)
        child.join(20)
        assert child.exitcode == 0
        assert ask(front, weights).json()["choices"][0]["message"]["content"] == text


FILE = """
from conduit import LMLite, ModelConfig
lm = LMLite(ModelConfig("conduit/tiny", max_model_concurrency=4), idle_timeout=120)
"""


@pytest.fixture
def line(tmp_path):
    made = CommandLine(tmp_path)
    yield made
    made.run("down", timeout_s=50)


def test_conduit_serve_serves_until_it_is_interrupted_and_gives_back(line, tmp_path):
    file = tmp_path / "app.py"
    file.write_text(FILE)
    with line.start("serve", str(file), "--port", "0", "--json") as process:
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        document = json.loads(text)
        assert document["models"] == ["conduit/tiny"]
        headers = {"authorization": f"Bearer {document['token']}"}
        url = f"{document['url']}/chat/completions"
        body = CHAT | {"model": "conduit/tiny"}
        assert httpx.post(url, json=body, headers=headers, timeout=40).status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=40)
    assert process.returncode == 0, errors
    assert "Gave back" in errors
    eventually(lambda: not line.living(), "the replicas end", 20)


def test_conduit_serve_shows_a_newcomer_what_to_do(line, tmp_path):
    file, token = tmp_path / "app.py", tmp_path / "token"
    file.write_text(FILE)
    token.write_text("my-own-token\n")
    with line.start("serve", f"{file}:lm", "--port", "0", "--token-file", str(token)) as process:
        text = ""
        while "Ctrl-C" not in text:
            text += process.stdout.readline()
        assert "curl http://127.0.0.1:" in text
        assert "my-own-token" not in text
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("x = 1\n", "", "There is no LMLite in"),
        (FILE + "other = LMLite('conduit/tiny', replicas=2)\n", "", "There are 2 LMLites in"),
        (FILE, ":nothing", "There is no LMLite nothing in"),
        (FILE, "", "cannot be had"),
        (None, "", "There is no file"),
    ],
)
def test_conduit_serve_says_what_is_wrong_and_starts_nothing(line, tmp_path, source, target, said):
    file = tmp_path / "app.py"
    if source is not None:
        file.write_text(source)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = line.run("serve", f"{file}{target}", "--port", port, timeout_s=50)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    with contextlib.suppress(FileNotFoundError):
        assert os.listdir(line.data_dir / "nodes") == []
