"""The routes and the limits, with scripted engines and no sockets."""

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from gpu_server.engines.base import Abilities, EngineError, LoadError, PromptRefused, SchemaRefused
from gpu_server.logs import JsonLines

CHAT = "/v1/chat/completions"


def ask(content: str = "hi there", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def error(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0)


def test_a_whole_answer(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            answer = await client.post(CHAT, json=ask(), headers={"x-request-id": "mine-7"})
            assert answer.status_code == 200
            assert answer.headers["x-request-id"] == "mine-7"
            body = answer.json()
            assert body["choices"][0]["message"]["content"] == "one two three"
            assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
            assert one.engine.jobs[0].max_tokens == 18  # what is left of max_model_len

    asyncio.run(run())


def test_a_stream_ends_with_usage_and_done(bench) -> None:
    async def run() -> None:
        async with bench().client() as client:
            answer = await client.post(CHAT, json=ask(stream=True, stream_options={"include_usage": True}))
            events = answer.text.strip().split("\n\n")
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert events[-1] == "data: [DONE]"
            chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
            texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]]
            assert "".join(texts) == "one two three"
            assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
            assert chunks[-1]["usage"]["completion_tokens"] == 3

    asyncio.run(run())


@pytest.mark.parametrize("given", ["", "x" * 200, "tab\there"])
def test_an_unfit_request_id_is_replaced(bench, given: str) -> None:
    async def run() -> None:
        async with bench().client() as client:
            answer = await client.get("/live", headers={"x-request-id": given})
            assert answer.headers["x-request-id"] not in ("", given)

    asyncio.run(run())


def test_only_live_answers_without_a_token(bench) -> None:
    async def run() -> None:
        async with bench().client(token=None) as client:
            assert (await client.get("/live")).status_code == 200
            for path in ("/ready", "/metrics", "/v1/models", "/nowhere"):
                answer = await client.get(path)
                assert (answer.status_code, error(answer)["code"]) == (401, "invalid_api_key")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"content": "word " * 20}, ["20 tokens", "21", "max_model_len"]),
        ({"content": "word " * 30}, ["30 tokens", "20"]),
        ({"content": "word " * 15, "max_tokens": 6}, ["15 tokens", "6", "21", "20"]),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    bench, fields: dict[str, Any], wanted: list[str]
) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            answer = await client.post(CHAT, json=ask(**fields))
            assert (answer.status_code, error(answer)["code"]) == (400, "context_length_exceeded")
            assert all(number in error(answer)["message"] for number in wanted)
            assert one.engine.jobs == []
            fits = await client.post(CHAT, json=ask("word " * 15, max_tokens=5))
            assert fits.status_code == 200

    asyncio.run(run())


def test_a_seed_is_taken_only_where_it_is_kept(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            refused = await client.post(CHAT, json=ask(seed=1))
            assert (refused.status_code, error(refused)["param"]) == (400, "seed")
            assert (await client.post(CHAT, json=ask(seed=1, temperature=0))).status_code == 200
            one.engine.abilities = Abilities(seeds=True)
            assert (await client.post(CHAT, json=ask(seed=1))).status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (SchemaRefused("no such type"), 400, "invalid_json_schema"),
        (PromptRefused("roles must alternate"), 400, "invalid_value"),
        (EngineError("secret details"), 500, "engine_error"),
    ],
)
def test_what_the_engine_raises_has_its_status(
    bench, stream: bool, failure: Exception, status: int, code: str
) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.raises = failure
            answer = await client.post(CHAT, json=ask(stream=stream))
            assert (answer.status_code, error(answer)["code"]) == (status, code)
            assert "secret" not in answer.text
            assert one.models.get("m").admission.running == 0

    asyncio.run(run())


def test_places_queue_and_429(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            admission = one.models.get("m").admission
            calls = [asyncio.create_task(client.post(CHAT, json=ask())) for _ in range(3)]
            await until(lambda: admission.waiting == 1)
            assert len(one.engine.jobs) == 2
            refused = await client.post(CHAT, json=ask())
            assert (refused.status_code, error(refused)["code"]) == (429, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
            one.engine.gate.set()
            assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_is_cancelled_in_the_queue_and_in_the_engine(bench, stream: bool) -> None:
    async def leave_after(app: Any, leave: asyncio.Event) -> None:
        """Speak ASGI directly: httpx's transport never disconnects."""
        body = json.dumps(ask(stream=stream)).encode()
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError(f"nobody listens: {message}")

        headers = [(b"authorization", b"Bearer a-good-token")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "query_string": b""}
        await app(scope, receive, send)

    async def run() -> None:
        one = bench(max_model_concurrency=1)
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            admission = one.models.get("m").admission
            leaves = [asyncio.Event(), asyncio.Event()]
            running = asyncio.create_task(leave_after(one.app, leaves[0]))
            await until(lambda: one.engine.jobs)
            queued = asyncio.create_task(leave_after(one.app, leaves[1]))
            await until(lambda: admission.waiting == 1)
            leaves[1].set()
            await queued
            assert admission.waiting == 0
            leaves[0].set()
            await running
            assert (one.engine.cancelled, admission.running, len(one.engine.jobs)) == (1, 0, 1)
            assert (
                'gpu_server_requests_total{model="m",status="499"} 2.0' in (await client.get("/metrics")).text
            )

    asyncio.run(run())


def test_a_model_that_is_not_there_or_not_ready(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client(load=False) as client:
            missing = await client.post(CHAT, json=ask() | {"model": "other"})
            assert (missing.status_code, error(missing)["code"]) == (404, "model_not_found")
            assert "Served: m" in error(missing)["message"]
            starting = await client.post(CHAT, json=ask())
            assert (starting.status_code, error(starting)["code"]) == (503, "model_not_ready")
            assert starting.headers["retry-after"]
            assert (await client.get("/ready")).status_code == 503
            one.engine.load_raises = LoadError("the folder is empty")
            await one.models.load()
            failed = await client.post(CHAT, json=ask())
            assert failed.status_code == 503
            assert "the folder is empty" in error(failed)["message"]
            ready = await client.get("/ready")
            assert ready.status_code == 503
            state = ready.json()["models"][0]
            assert (state["state"], state["reason"]) == ("failed", "the folder is empty")
            assert one.models.failed

    asyncio.run(run())


def test_bodies_over_the_limit_are_413_with_and_without_a_length(bench) -> None:
    async def chunks() -> Any:
        for _ in range(30):
            yield b"x" * 100

    async def run() -> None:
        async with bench().client() as client:
            for content in (b"x" * 3000, chunks()):
                answer = await client.post(CHAT, content=content)
                assert (answer.status_code, error(answer)["code"]) == (413, "body_too_large")

    asyncio.run(run())


def test_unknown_routes_and_methods_have_the_same_form(bench) -> None:
    async def run() -> None:
        async with bench().client() as client:
            assert error(await client.get("/v1/nothing"))["code"] == "no_such_route"
            assert error(await client.get(CHAT))["code"] == "method_not_allowed"

    asyncio.run(run())


def test_the_model_list_and_the_metrics(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            listed = (await client.get("/v1/models")).json()
            assert [model["id"] for model in listed["data"]] == ["m"]
            await client.post(CHAT, json=ask())
            text = (await client.get("/metrics")).text
            assert 'gpu_server_requests_total{model="m",status="200"} 1.0' in text
            assert 'gpu_server_time_to_first_token_seconds_count{model="m"} 1.0' in text
            for name in (
                "running",
                "queue_depth",
                "largest_batch",
                "engine_steps_total",
                "completion_tokens_total",
            ):
                assert f"gpu_server_{name}" in text

    asyncio.run(run())


def test_only_use_counts_as_use(bench) -> None:
    async def run() -> None:
        one = bench()
        used: list[str] = []
        busy = one.watchdog.busy
        one.watchdog.busy = lambda: used.append("use") or busy()
        async with one.client() as client:
            for path in ("/live", "/ready", "/metrics"):
                await client.get(path)
            await client.get("/v1/models", headers={"authorization": "Bearer wrong"})
            assert used == []
            await client.post(CHAT, json=ask())
            assert used == ["use"]

    asyncio.run(run())


def test_the_log_line_of_a_request_has_numbers_and_no_text(bench, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with bench().client() as client:
            await client.post(CHAT, json=ask("a very private word"), headers={"x-request-id": "mine-8"})

    with caplog.at_level(logging.INFO, logger="gpu_server"):
        asyncio.run(run())
    lines = [JsonLines().format(record) for record in caplog.records]
    line = next(parsed for parsed in map(json.loads, lines) if parsed["event"] == "request")
    assert (line["id"], line["model"], line["status"], line["completion_tokens"]) == ("mine-8", "m", 200, 3)
    assert not any(word in "".join(lines) for word in ("private", "one two"))
