"""`POST /v1/batch` on a real server: results as they finish, a broken connection, going on, cancelling, bounds."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

TOKEN = "integration-token"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def row(custom_id: str, tokens: int = 8, **body: Any) -> dict[str, Any]:
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "random",
            "messages": [{"role": "user", "content": f"say {custom_id}"}],
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
            **body,
        },
    }


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def post(server: Any, rows: list[dict[str, Any]], batch_id: str, **params: Any) -> httpx.Response:
    headers = {**HEADERS, "x-batch-id": batch_id}
    url = f"{server.url}/v1/batch"
    return httpx.post(url, content=ndjson(rows), headers=headers, params=params, timeout=50)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def state(server: Any, batch_id: str) -> dict[str, Any]:
    return server.get(f"/v1/batch/{batch_id}/status").json()


@pytest.fixture
def slow() -> list[dict[str, Any]]:
    """Rows that keep the engine busy for a while."""
    return [row(f"slow {number}", 450) for number in range(60)]


def test_every_row_has_its_answer_the_same_as_alone(server) -> None:
    rows = [row(f"r{number}") for number in range(40)]
    rows[7]["body"]["max_tokens"] = -1
    answer = post(server, rows, "whole")
    assert answer.headers["content-type"] == "application/x-ndjson"
    got = {line["custom_id"]: line["response"] for line in lines(answer.text)}
    assert sorted(got) == sorted(each["custom_id"] for each in rows)
    assert got["r7"]["status_code"] == 400
    alone = server.post(json.dumps(rows[3]["body"]).encode()).json()
    same = got["r3"]["body"]
    assert (same["choices"], same["usage"]) == (alone["choices"], alone["usage"])
    assert state(server, "whole")["request_counts"] == {"total": 40, "completed": 39, "failed": 1}
    log = [json.loads(line) for line in server.log.splitlines()]
    logged = [line for line in log if str(line.get("id", "")).startswith("whole-")]
    assert len(logged) == 40
    assert {line["batch"] for line in logged} == {True}
    assert "say r3" not in server.log


def test_results_come_before_the_batch_is_over(server, slow) -> None:
    body = ndjson([row("quick", 2), *slow])
    headers = {**HEADERS, "x-batch-id": "early"}
    with httpx.stream("POST", f"{server.url}/v1/batch", content=body, headers=headers, timeout=50) as answer:
        first = json.loads(next(answer.iter_lines()))
        assert first["custom_id"] == "quick"
        assert state(server, "early")["status"] == "in_progress"
    ended = httpx.delete(f"{server.url}/v1/batch/early", headers=HEADERS).json()
    assert ended["status"] == "cancelled"


def test_it_goes_on_when_the_connection_breaks_and_is_read_on_from_any_place(server, wait_until) -> None:
    rows = [row(f"b{number}", 60) for number in range(48)]
    headers = {**HEADERS, "x-batch-id": "broken"}
    with httpx.stream(
        "POST", f"{server.url}/v1/batch", content=ndjson(rows), headers=headers, timeout=50
    ) as answer:
        begun = next(answer.iter_lines())
    rest = httpx.get(f"{server.url}/v1/batch/broken", params={"after": 1}, headers=HEADERS, timeout=50)
    everything = [begun, *rest.text.splitlines()]
    assert sorted(json.loads(line)["custom_id"] for line in everything) == sorted(
        r["custom_id"] for r in rows
    )
    assert state(server, "broken")["status"] == "completed"
    before = server.metric("completion_tokens_total")
    again = post(server, [*rows, row("new", 3)], "broken", after=48)
    assert [line["custom_id"] for line in lines(again.text)] == ["new"]
    assert server.metric("completion_tokens_total") == before + 3  # nothing was run again
    clash = post(server, [row("b0", 61)], "broken")
    assert (clash.status_code, clash.json()["error"]["code"]) == (409, "batch_row_differs")


def test_a_cancelled_batch_leaves_the_engine_at_once(server, slow, wait_until) -> None:
    headers = {**HEADERS, "x-batch-id": "cancelled"}
    url = f"{server.url}/v1/batch"
    with httpx.stream("POST", url, content=ndjson(slow), headers=headers, timeout=50) as answer:
        wait_until(lambda: server.metric("running") > 0, "rows run")
        ended = httpx.delete(f"{url}/cancelled", headers=HEADERS).json()
        assert ended["status"] == "cancelled"
        assert len(list(answer.iter_lines())) == ended["results"]
    assert server.metric("running") == server.metric("queue_depth") == 0
    assert httpx.delete(f"{url}/cancelled", headers=HEADERS).status_code == 200  # and forgets it
    assert server.get("/v1/batch/cancelled").status_code == 404


def test_an_interactive_call_does_not_wait_for_the_rows(server, slow, wait_until) -> None:
    headers = {**HEADERS, "x-batch-id": "beside"}
    url = f"{server.url}/v1/batch"
    with httpx.stream("POST", url, content=ndjson(slow), headers=headers, timeout=50):
        wait_until(lambda: server.metric("running") > 1, "rows run")
        answer = server.post(json.dumps(row("interactive", 4)["body"]).encode())
        assert answer.status_code == 200
        assert state(server, "beside")["request_counts"]["completed"] < len(slow)
    httpx.delete(f"{url}/beside", headers=HEADERS)


def test_a_body_beyond_the_bound_is_refused_and_one_below_it_is_larger_than_other_bodies(
    start, model
) -> None:
    one = start(models=[model()], max_body_bytes=20_000, max_batch_bytes=60_000).loaded()
    rows = [row(f"r{number}", 2, user="u" * 400) for number in range(50)]
    assert 20_000 < len(ndjson(rows)) < 60_000
    assert len(lines(post(one, rows, "large").text)) == 50
    too_large = post(one, rows * 3, "too-large")
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "body_too_large")
    assert one.get("/v1/batch/too-large").status_code == 404
    long_line = post(one, [row("long", 2, user="u" * 30_000), row("short", 2)], "long-line")
    got = lines(long_line.text)
    assert sorted(str(line["custom_id"]) for line in got) == ["None", "short"]


def test_a_batch_keeps_an_idle_server_alive_and_ends_with_it(start, model, wait_until) -> None:
    one = start(models=[model()], idle_timeout_s=1.0, drain_s=0.5).loaded()
    rows = [row(f"r{number}", 450) for number in range(40)]
    headers = {**HEADERS, "x-batch-id": "alive"}
    with httpx.stream("POST", f"{one.url}/v1/batch", content=ndjson(rows), headers=headers, timeout=50):
        wait_until(lambda: one.metric("running") > 0, "rows run")
    one.process.terminate()
    assert one.exit_code() == 0
