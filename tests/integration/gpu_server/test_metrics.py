"""What is measured and logged: true numbers, names that Prometheus expects, and no text of anybody's."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpu_server.engines.base import EngineLost
from gpu_server.logs import JsonLines
from gpu_server.serving.children import children
from support.scripted_server import TOKEN, scripted_server

AUTH = {"authorization": f"Bearer {TOKEN}"}
CHAT = "/v1/chat/completions"
UNITS = ("_seconds", "_bytes", "_ratio", "_per_second")


def ask(content: str = "hi", **fields):
    return {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 5, **fields}


@pytest.fixture
def server():
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, headers=AUTH, timeout=20) as client:
        yield client


def scraped(client: httpx.Client):
    answer = client.get("/metrics")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(client: httpx.Client, name: str, **labels: str) -> float:
    """One sample, or the sum over the labels that are not given."""
    return sum(
        sample.value
        for family in scraped(client).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_names_and_units_follow_the_conventions(client) -> None:
    client.post(CHAT, json=ask())
    families = scraped(client)
    own = {name: family for name, family in families.items() if name.startswith("gpu_server_")}
    assert len(own) > 20
    for name, family in own.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name)
        assert family.documentation.endswith("."), name
        assert family.type in ("counter", "gauge", "histogram"), name
        assert not re.search(r"_(ms|millis|kb|mb|percent)(_|$)", name), name
        assert "total" not in name, f"{name}: the format adds it"
        if family.type == "histogram":
            assert name.endswith(UNITS), name
        for sample in family.samples:
            assert "le" not in sample.labels or family.type == "histogram"


def test_a_request_is_counted_once_and_timed(client) -> None:
    client.post(CHAT, json=ask())
    client.post(CHAT, json=ask(stream=True))
    assert value(client, "gpu_server_requests_total", model="m", status="200") == 2
    for name in ("request", "queue", "time_to_first_token"):
        assert value(client, f"gpu_server_{name}_seconds_count", model="m") == 2
    assert value(client, "gpu_server_tokens_per_second_count", model="m") == 2
    speed = value(client, "gpu_server_tokens_per_second_sum", model="m") / 2
    assert 1 < speed < 5000  # five tokens with a pause of a millisecond before each
    assert value(client, "gpu_server_completion_tokens_total", model="m") == 10
    assert value(client, "gpu_server_model_state", model="m", state="ready") == 1
    assert value(client, "gpu_server_model_state", model="m") == 1


def test_a_whole_answer_says_when_its_first_token_was_there(client, monkeypatch) -> None:
    monkeypatch.setattr("support.scripted_server.ScriptedEngine.pause_s", 0.03)
    answer = client.post(CHAT, json=ask())
    first_token_ms = float(answer.headers["x-first-token-ms"])
    assert 30 <= first_token_ms < answer.elapsed.total_seconds() * 1000
    for body in (ask(stream=True), {"model": "m"}):
        assert "x-first-token-ms" not in client.post(CHAT, json=body).headers
    assert "x-first-token-ms" not in client.get("/v1/models").headers


def test_what_runs_and_what_waits_is_seen_while_it_does(server, client) -> None:
    with client.stream("POST", CHAT, json=ask(stream=True, max_tokens=90_000)) as stream:
        pieces = stream.iter_raw()
        next(pieces)
        assert value(client, "gpu_server_running", model="m") == 1
        assert value(client, "gpu_server_connections") >= 2
    deadline = time.monotonic() + 20
    while value(client, "gpu_server_running", model="m"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert value(client, "gpu_server_requests_total", status="499") == 1
    assert value(client, "gpu_server_queue_depth", **{"class": "batch"}) == 0


def test_callers_cannot_make_labels(client) -> None:
    before = sum(len(family.samples) for family in scraped(client).values())
    for number in range(30):
        client.post(CHAT, json=ask() | {"model": f"no-model-{number}"})
        client.get(f"/no/such/route/{number}")
        client.post(CHAT, json=ask(), headers={"authorization": f"Bearer wrong-{number}"})
        client.post(CHAT, content=b"{", headers={"x-conduit-caller": f"caller-{number}"})
    after = scraped(client)
    assert sum(len(family.samples) for family in after.values()) < before + 20
    assert "no-model" not in client.get("/metrics").text
    assert value(client, "gpu_server_requests_total", model="", status="404") == 60
    for code in ("model_not_found", "no_such_route", "invalid_api_key", "invalid_json"):
        assert value(client, "gpu_server_errors_total", code=code) == 30


def test_a_lost_engine_and_a_rate_limit_are_seen() -> None:
    tokens = f"other-token,{TOKEN}"
    with (
        scripted_server(requests_per_s=0.001, requests_burst=2, tokens=tokens) as server,
        httpx.Client(base_url=server.url, headers=AUTH, timeout=20) as client,
    ):
        server.engine.fails = EngineLost("gone")
        assert client.post(CHAT, json=ask()).json()["error"]["code"] == "engine_lost"
        client.get("/v1/models")
        limited = client.get("/v1/models")
        assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limited")
        assert int(limited.headers["retry-after"]) > 100
        for path in ("/live", "/ready", "/metrics"):
            assert client.get(path).status_code == 200
        other = client.get("/v1/models", headers={"authorization": "Bearer other-token"})
        assert other.status_code == 200
        assert value(client, "gpu_server_errors_total", code="engine_lost") == 1
        assert value(client, "gpu_server_rate_limited_total", token="2") == 1
        assert value(client, "gpu_server_rate_limited_total", token="1") == 0


def test_no_answer_to_a_preflight_lets_a_page_of_another_origin_in(client) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    for headers in (asked, asked | {"authorization": ""}):
        answer = client.options(CHAT, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.status_code in (401, 405)
    answer = client.get("/v1/models", headers={"origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_the_processes_below_are_counted_with_theirs() -> None:
    code = (
        "import subprocess, sys\n"
        "held = bytearray(50_000_000)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE)\n"
        "print('up', flush=True); sys.stdin.read(); child.stdin.close(); child.wait()"
    )
    before = children()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"up\n"
        during = children()
        process.stdin.close()
        process.stdin = None
        process.wait(20)
    assert during.processes == before.processes + 2
    assert during.resident_bytes > before.resident_bytes + 50_000_000
    assert during.open_fds >= before.open_fds + 6
    assert during.cpu_s >= 0


PRIVATE = ("unspeakable-prompt", "private-answer", TOKEN, "wrong-token-shown", "the-caller-by-name")


class LeakyError(Exception):
    """As parsers and templates raise them: quoting what they were given."""


def test_no_log_line_holds_a_text_a_token_or_a_name(server, client, caplog) -> None:
    server.engine.word = "private-answer "
    body = ask("unspeakable-prompt", user="the-caller-by-name")
    with caplog.at_level(logging.DEBUG):
        for stream in (False, True):
            assert "private-answer" in client.post(CHAT, json=body | {"stream": stream}).text
            client.post(CHAT, json=body | {"stream": stream, "max_tokens": 10**9})
            client.post(CHAT, json=body | {"stream": stream, "temperature": "unspeakable-prompt"})
        client.post(CHAT, content=b'{"model": "m", "messages": "unspeakable-prompt')
        client.post(CHAT, json=body, headers={"authorization": "Bearer wrong-token-shown"})
        client.post(CHAT, json=body | {"model": "unspeakable-prompt"})
        client.get("/unspeakable-prompt")
        client.post(CHAT, json=body, headers={"x-conduit-caller": "the-caller-by-name"})
        server.engine.fails = LeakyError("cannot render unspeakable-prompt private-answer")
        broke = client.post(CHAT, json=body)
        assert (broke.status_code, broke.json()["error"]["code"]) == (500, "internal")
        with contextlib.suppress(httpx.RemoteProtocolError):
            client.post(CHAT, json=body | {"stream": True})
    lines = [JsonLines().format(record) for record in caplog.records if not record.name.startswith("http")]
    assert any("LeakyError" in line for line in lines), "the crash itself is logged"
    for line in lines:
        assert not [word for word in PRIVATE if word in line], line
    metrics = client.get("/metrics").text
    assert not [word for word in PRIVATE if word in metrics]


def test_the_line_of_a_request_tells_the_numbers(client, caplog) -> None:
    with caplog.at_level(logging.INFO, logger="gpu_server"):
        client.post(CHAT, json=ask(stream=True), headers={"x-request-id": "mine-1"})
        client.post(CHAT, json=ask(max_tokens=10**9), headers={"x-request-id": "mine-2"})
        client.get("/v1/models", headers={"x-request-id": "mine-3"})
        client.get("/ready", headers={"x-request-id": "probe"})
        deadline = time.monotonic() + 20
        while not any("mine-3" in str(vars(record)) for record in caplog.records):
            assert time.monotonic() < deadline
    lines = {}
    for record in caplog.records:
        line = json.loads(JsonLines().format(record))
        if line["event"] == "request":
            assert line["id"] not in lines, "one line a request"
            lines[line["id"]] = line
    good, bad, models = (lines[f"mine-{number}"] for number in (1, 2, 3))
    assert (good["status"], good["model"], good["stream"], good["finish"]) == (200, "m", True, "length")
    assert (good["prompt_tokens"], good["completion_tokens"]) == (1, 5)
    assert 0 <= good["queue_ms"] <= good["first_token_ms"] <= good["ms"]
    assert good["tokens_per_s"] > 1
    assert (bad["status"], bad["code"], bad["finish"]) == (400, "context_length_exceeded", None)
    assert (models["route"], models["model"]) == ("/v1/models", "")
    assert good["caller"] == models["caller"]
    assert "probe" not in lines
