"""What the routes answer, with a scripted engine: choices, tools, abilities, raw text, vectors, models, callers."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import pytest

from gpu_server.api import answer_forms
from gpu_server.engines.base import (
    Abilities,
    Completion,
    EngineLost,
    Job,
    Piece,
    PromptTooLong,
    ToolCall,
    Unsupported,
    Usage,
)

CHAT, TEXT, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
ALL = Abilities(completions=True, embeddings=True, seeds=True, tools=True, logprobs=5)


def ask(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi there"}], **fields}


def events(text: str) -> list[dict[str, Any]]:
    lines = text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (nothing signals it)
            await asyncio.sleep(0)


def test_choices_take_a_place_each_and_the_prompt_counts_once(bench) -> None:
    async def run() -> None:
        one = bench(max_queue=5)
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            call = asyncio.create_task(client.post(CHAT, json=ask(n=3)))
            admission = one.models.get("m").admission
            await until(lambda: admission.running == 2 and admission.waiting == 1)
            one.engine.gate.set()
            body = answer_forms.ChatCompletion.model_validate((await call).json())
            assert [choice.index for choice in body.choices] == [0, 1, 2]
            assert (body.usage.prompt_tokens, body.usage.completion_tokens) == (2, 9)

    asyncio.run(run())


def test_streams_of_several_choices_interleave_and_are_whole_each(bench) -> None:
    async def run() -> None:
        one = bench(max_model_concurrency=3)
        async with one.client() as client:
            options = {"include_usage": True}
            answer = await client.post(CHAT, json=ask(n=3, stream=True, stream_options=options))
            chunks = events(answer.text)
            texts = dict.fromkeys(range(3), "")
            for chunk in chunks[:-1]:
                choice = chunk["choices"][0]
                texts[choice["index"]] += choice["delta"].get("content", "")
            assert set(texts.values()) == {"one two three"}
            assert chunks[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 9, "total_tokens": 11}

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_one_choice_that_fails_takes_the_others_out(bench, stream: bool) -> None:
    async def run() -> None:
        one = bench(max_model_concurrency=2, max_queue=0)
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            refused = await client.post(CHAT, json=ask(n=3, stream=stream))
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
            assert one.models.get("m").admission.running == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [LOOK]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 1}, "seed"),
    ],
)
def test_what_the_engine_cannot_do_is_refused_by_name(bench, fields: dict[str, Any], param: str) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            refused = (await client.post(CHAT, json=ask(**fields))).json()["error"]
            assert (refused["param"], refused["code"]) == (param, "unsupported_parameter")
            assert one.engine.jobs == []
            one.engine.abilities = ALL
            assert (await client.post(CHAT, json=ask(**fields))).status_code == 200
            assert len(one.engine.jobs) == 1

    asyncio.run(run())


def test_no_more_alternatives_than_the_engine_reports(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.abilities = ALL
            refused = await client.post(CHAT, json=ask(logprobs=True, top_logprobs=6))
            assert refused.json()["error"]["param"] == "top_logprobs"
            assert (await client.post(CHAT, json=ask(logprobs=True, top_logprobs=5))).status_code == 200
            assert one.engine.jobs[0].logprobs == 5

    asyncio.run(run())


@pytest.mark.parametrize("parallel", [True, False])
def test_calls_are_answered_and_only_one_where_only_one_may_be(bench, parallel: bool) -> None:
    def calls(job: Job) -> Completion:
        made = [ToolCall(0, "c0", "look", "{}"), ToolCall(1, "c1", "look", "{}")]
        return Completion("", "tool_calls", Usage(job.prompt_tokens, 3), 0.01, tool_calls=made)

    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.abilities, one.engine.says = ALL, calls
            asked = ask(tools=[LOOK], tool_choice="required", parallel_tool_calls=parallel)
            choice = (await client.post(CHAT, json=asked)).json()["choices"][0]
            assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
            assert [call["id"] for call in choice["message"]["tool_calls"]] == ["c0", "c1"][: 1 + parallel]
            assert one.engine.jobs[0].tool_choice == "required"

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PromptTooLong("the prompt has 30 tokens, 20 fit"), 400, "context_length_exceeded"),
        (Unsupported("min_p", "this engine has none"), 400, "unsupported_parameter"),
        (EngineLost("exit status 9"), 503, "engine_lost"),
    ],
)
def test_what_only_the_engine_finds_out(
    bench, stream: bool, failure: Exception, status: int, code: str
) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.raises, one.engine.counts = failure, False
            answer = await client.post(CHAT, json=ask(stream=stream))
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert ("retry-after" in answer.headers) == (status == 503)
            assert "exit status" not in answer.text

    asyncio.run(run())


def test_an_engine_lost_in_a_stream_ends_it_with_an_error_event(bench) -> None:
    def pieces(job: Job):
        yield Piece("one")
        yield None
        raise EngineLost("exit status 9")

    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.streams = pieces
            answer = await client.post(CHAT, json=ask(stream=True))
            chunks = [json.loads(each.removeprefix("data: ")) for each in answer.text.strip().split("\n\n")]
            assert (answer.status_code, chunks[1]["choices"][0]["delta"]["content"]) == (200, "one")
            assert chunks[-1]["error"]["code"] == "engine_lost"

    asyncio.run(run())


def test_without_a_count_the_limit_is_checked_as_far_as_it_can_be(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.counts = False
            assert (await client.post(CHAT, json=ask())).status_code == 200
            assert (one.engine.jobs[0].prompt_tokens, one.engine.jobs[0].max_tokens) == (0, 19)
            refused = await client.post(CHAT, json=ask(max_tokens=20))
            assert refused.json()["error"]["code"] == "context_length_exceeded"

    asyncio.run(run())


def test_flex_waits_behind_what_is_interactive_and_is_echoed(bench) -> None:
    async def run() -> None:
        one = bench(max_model_concurrency=1, max_queue=5)
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            admission = one.models.get("m").admission
            done: list[str] = []

            async def call(name: str, **fields: Any) -> dict[str, Any]:
                body = (await client.post(CHAT, json=ask(user=name, **fields))).json()
                done.append(name)
                return body

            first = asyncio.create_task(call("first"))
            await until(lambda: admission.running == 1)
            row = asyncio.create_task(call("row", service_tier="flex"))
            await until(lambda: admission.waiting == 1)
            late = asyncio.create_task(call("late", service_tier="auto"))
            await until(lambda: admission.waiting == 2)
            one.engine.gate.set()
            tiers = [(await each).get("service_tier") for each in (first, late, row)]
            assert done == ["first", "late", "row"]
            assert tiers == [None, "default", "flex"]

    asyncio.run(run())


def test_callers_take_turns_by_header_then_user(bench) -> None:
    async def run() -> None:
        one = bench(max_model_concurrency=1, max_queue=10)
        async with one.client() as client:
            one.engine.gate = asyncio.Event()
            admission = one.models.get("m").admission
            done: list[str] = []

            async def call(name: str, header: str | None = None) -> None:
                headers = {"x-conduit-caller": header} if header else {}
                await client.post(CHAT, json=ask(user=name), headers=headers)
                done.append(header or name)

            calls = [asyncio.create_task(call("busy")) for _ in range(3)]
            await until(lambda: admission.waiting == 2)
            calls.append(asyncio.create_task(call("busy", header="other")))
            await until(lambda: admission.waiting == 3)
            one.engine.gate.set()
            await asyncio.gather(*calls)
            assert done.index("other") < 3

    asyncio.run(run())


def test_raw_text_goes_on_for_every_prompt_and_choice(bench) -> None:
    async def run() -> None:
        one = bench(max_model_concurrency=4, max_queue=10)
        async with one.client() as client:
            asked = {"model": "m", "prompt": ["a b c", "d"], "n": 2}
            refused = (await client.post(TEXT, json=asked)).json()["error"]
            assert refused["code"] == "unsupported_by_model"
            one.engine.abilities = ALL
            body = answer_forms.TextCompletion.model_validate((await client.post(TEXT, json=asked)).json())
            assert [choice.index for choice in body.choices] == [0, 1, 2, 3]
            assert [job.prompt for job in one.engine.jobs] == ["a b c", "a b c", "d", "d"]
            assert (body.usage.prompt_tokens, body.usage.completion_tokens) == (4, 12)
            chunks = events((await client.post(TEXT, json={**asked, "stream": True})).text)
            assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1, 2, 3}
            one.engine.jobs.clear()
            await client.post(TEXT, json={"model": "m", "prompt": "a"})
            await client.post(TEXT, json={"model": "m", "prompt": "a " * 10})
            assert [job.max_tokens for job in one.engine.jobs] == [
                16,
                10,
            ]  # the protocol's default, or what is left

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a"] * 33}, "prompt"),
        ({"prompt": [1, 2]}, "prompt[0]"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "suffix": "x"}, "suffix"),
        ({"prompt": "a", "logprobs": 6}, "logprobs"),
        ({"prompt": "a " * 20}, "prompt"),
        ({"prompt": "a", "messages": []}, "messages"),
    ],
)
def test_raw_text_that_cannot_be_gone_on_with_is_refused(bench, fields: dict[str, Any], param: str) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            one.engine.abilities = ALL
            refused = await client.post(TEXT, json={"model": "m", **fields})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)

    asyncio.run(run())


def test_vectors_as_numbers_and_packed(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            asked = {"model": "m", "input": ["a b", "abc"]}
            assert (await client.post(VECTORS, json=asked)).json()["error"]["code"] == "unsupported_by_model"
            one.engine.abilities = Abilities(generate=False, embeddings=True)
            plain = answer_forms.EmbeddingList.model_validate((await client.post(VECTORS, json=asked)).json())
            assert [each.embedding for each in plain.data] == [[3.0, 0.5], [3.0, 0.5]]
            assert plain.usage.prompt_tokens == 3
            packed = (await client.post(VECTORS, json={**asked, "encoding_format": "base64"})).json()
            assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (3.0, 0.5)
            refused = await client.post(VECTORS, json={**asked, "dimensions": 5})
            assert refused.json()["error"]["param"] == "dimensions"
            chat = await client.post(CHAT, json=ask())
            assert chat.json()["error"]["code"] == "unsupported_by_model"

    asyncio.run(run())


def test_one_model_by_its_id_slashes_and_all(bench) -> None:
    async def run() -> None:
        one = bench(model_id="house/m")
        async with one.client() as client:
            listed = answer_forms.ModelList.model_validate((await client.get("/v1/models")).json())
            found = answer_forms.ModelCard.model_validate((await client.get("/v1/models/house/m")).json())
            assert listed.data == [found]
            assert (found.max_model_len, found.engine) == (20, "mistralrs")
            assert found.abilities is not None
            missing = await client.get("/v1/models/house/n")
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")

    asyncio.run(run())


def test_the_document_says_what_is_served_and_no_more(bench) -> None:
    async def run() -> None:
        one = bench()
        async with one.client() as client:
            document = (await client.get("/openapi.json")).json()
            assert document["openapi"] == "3.1.0"
            assert CHAT in document["paths"]
            assert {TEXT, VECTORS}.isdisjoint(document["paths"])
            chat = document["components"]["schemas"]["ChatRequest"]
            assert chat["properties"]["model"] == {"enum": ["m"]}
            assert chat["additionalProperties"] == {"type": "null"}
            one.engine.abilities = ALL
            document = (await client.get("/openapi.json")).json()
            assert {TEXT, VECTORS} < set(document["paths"])
            vectors = document["components"]["schemas"]["EmbeddingsRequest"]
            assert vectors["properties"]["model"] == {"enum": ["m"]}
            assert (await client.get("/openapi.json", headers={"authorization": ""})).status_code == 401

    asyncio.run(run())


def test_a_batch_over_its_route(bench) -> None:
    def row(name: str, **body: Any) -> str:
        return json.dumps({"custom_id": name, "method": "POST", "url": CHAT, "body": ask(**body)})

    async def run() -> None:
        one = bench({"max_batch_bytes": 4000}, max_queue=0)
        async with one.client() as client:
            body = "\n".join([row("a"), row("b", stream=True), "nonsense", row("c", n=2)])
            answer = await client.post("/v1/batch", content=body, headers={"x-batch-id": "mine"})
            assert (answer.status_code, answer.headers["x-batch-id"]) == (200, "mine")
            got = {each["custom_id"]: each for each in map(json.loads, answer.text.splitlines())}
            assert got["a"]["response"]["body"]["choices"][0]["message"]["content"] == "one two three"
            assert got["b"]["response"]["body"]["error"]["param"] == "stream"
            assert got[None]["error"]["line"] == 3
            again = await client.get("/v1/batch/mine", params={"after": 2})
            assert answer.text.splitlines()[2:] == again.text.splitlines()
            state = answer_forms.BatchState.model_validate((await client.get("/v1/batch/mine/status")).json())
            assert (state.status, state.request_counts.total, state.request_counts.failed) == (
                "completed",
                4,
                2,
            )
            clash = await client.post("/v1/batch", content=row("a", n=2), headers={"x-batch-id": "mine"})
            assert (clash.status_code, clash.json()["error"]["code"]) == (409, "batch_row_differs")
            assert (await client.delete("/v1/batch/mine")).status_code == 200
            assert (await client.get("/v1/batch/mine")).json()["error"]["code"] == "batch_not_found"
            large = await client.post("/v1/batch", content="\n" * 5000)
            assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")
            for bad in ({"params": {"after": "-1"}}, {"headers": {"x-batch-id": "a b"}}):
                assert (await client.post("/v1/batch", content="", **bad)).status_code == 400

    asyncio.run(run())
