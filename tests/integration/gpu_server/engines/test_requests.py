"""What passes between an engine's server and us beside plain text: calls, thoughts, vectors, trouble."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gpu_server.engines.base import (
    EngineError,
    Job,
    Message,
    PromptTooLong,
    SchemaRefused,
    Tool,
    ToolCall,
    Unsupported,
)

from .conftest import LIMIT, STAND_IN, Loaded, until

LOOK = Tool("look", "Look something up.", {"type": "object", "properties": {"word": {"type": "string"}}})
READERS = {
    "sglang": ["--tool-call-parser", "qwen25"],
    "vllm": ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"],
}
KINDS = ["sglang", "vllm"]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

Open = Callable[..., Any]


def on(opened: Open, kind: str, test: Callable[[Loaded], Any], modes: str = "", **settings: Any) -> None:
    """Run a coroutine function on a freshly loaded engine, always on a stand-in."""

    async def run() -> None:
        flags = ["--stand-in", modes, *settings.pop("flags", [])]
        if kind in KINDS:
            settings.update(engine_command=STAND_IN, engine_args=flags)
        async with opened(kind, modes=modes, **settings) as loaded:
            await test(loaded)

    asyncio.run(run())


async def state(loaded: Loaded) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        found: dict[str, Any] = (await client.get(f"{loaded.engine._server.url}/stand_in/state")).json()  # type: ignore[attr-defined]
        return found


async def modes(loaded: Loaded, **switched: Any) -> None:
    async with httpx.AsyncClient() as client:
        await client.post(f"{loaded.engine._server.url}/stand_in/modes", json=switched)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [*KINDS, "openai"])
def test_a_tool_call_arrives_whole_and_in_pieces(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        job = await loaded.job("Please call a tool.", 30, tools=[LOOK])
        whole = await loaded.engine.complete(job)
        assert whole.finish == "tool_calls"
        assert [(call.id, call.name) for call in whole.tool_calls] == [("call_1", "look")]
        assert json.loads(whole.tool_calls[0].arguments) == {"word": "a"}
        pieces = [piece async for piece in loaded.engine.stream(job)]
        parts = [part for piece in pieces for part in piece.tool_calls]
        assert "".join(part.arguments for part in parts) == whole.tool_calls[0].arguments
        assert pieces[-1].finish == "tool_calls"

    on(opened, kind, test, flags=READERS.get(kind, []))


@pytest.mark.parametrize("choice", ["required", "look", "none"])
def test_the_choice_of_a_tool_reaches_the_engine(choice: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        answer = await loaded.ask("Hello.", 30, tools=[LOOK], tool_choice=choice)
        assert bool(answer.tool_calls) == (choice != "none")

    on(opened, "vllm", test, flags=READERS["vllm"])


@pytest.mark.parametrize("kind", KINDS)
def test_tools_without_a_reader_of_calls_are_refused(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        with pytest.raises(Unsupported) as refused:
            await loaded.ask("Hello.", 8, tools=[LOOK])
        assert refused.value.param == "tools"

    on(opened, kind, test)


def test_an_earlier_call_and_its_answer_are_passed_on(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        messages = [
            Message("user", "Look it up."),
            Message("assistant", "", tool_calls=[ToolCall(0, "call_1", "look", "{}")]),
            Message("tool", "It is nothing.", tool_call_id="call_1"),
        ]
        answer = await loaded.engine.complete(Job(messages, 0, 4, tools=[LOOK]))
        assert answer.text

    on(opened, "sglang", test, flags=READERS["sglang"])


@pytest.mark.parametrize("kind", KINDS)
def test_thoughts_come_in_their_own_channel(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        answer = await loaded.ask("Hello.", 30)
        assert answer.reasoning == "let me think"
        assert "think" not in answer.text
        assert answer.text

    on(opened, kind, test, modes="reasoning")


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_come_one_for_each_text_in_order(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        assert loaded.engine.abilities.embeddings
        found = await loaded.engine.embed(["one two", "three", "one two"])
        assert [vector[1] for vector in found.vectors] == [2.0, 1.0, 2.0]
        assert found.vectors[0] == found.vectors[2] != found.vectors[1]
        assert found.prompt_tokens == 5
        with pytest.raises(PromptTooLong):
            await loaded.engine.embed(["word " * (LIMIT + 1)])
        with pytest.raises(Unsupported):
            await loaded.engine.complete(Job([Message("user", "Hello.")], 0, 4))
        assert await loaded.engine.answers()

    on(opened, kind, test, task="embed")


@pytest.mark.parametrize("kind", [*KINDS, "openai"])
def test_a_schema_that_the_grammar_cannot_enforce_is_refused(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
        with pytest.raises(SchemaRefused, match="uniqueItems"):
            await loaded.ask("Hello.", 30, schema=schema)
        assert (await loaded.ask("Hello.", 4)).text

    on(opened, kind, test)


@pytest.mark.parametrize("kind", [*KINDS, "openai"])
def test_an_answer_that_ignores_its_schema_is_an_error(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        await modes(loaded, ignore_schema=True)
        with pytest.raises(EngineError, match="ignored the schema"):
            await loaded.ask("Hello.", 60, schema=SCHEMA)

    on(opened, kind, test)


@pytest.mark.parametrize("kind", [*KINDS, "openai"])
def test_a_prompt_that_was_cut_is_an_error_and_no_answer(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        await modes(loaded, cut_prompt=20)
        with pytest.raises(PromptTooLong, match="20"):
            await loaded.ask("word " * 100, 4)

    on(opened, kind, test)


def test_fields_that_a_server_does_not_read_are_refused(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        for name, value in {"top_k": 5, "min_p": 0.1, "ignore_eos": True}.items():
            with pytest.raises(Unsupported) as refused:
                await loaded.ask("Hello.", 4, **{name: value})
            assert refused.value.param == name
        assert (await loaded.ask("Hello.", 4, top_p=0.9)).text

    on(opened, "openai", test, modes="no_tokenize,ignore_sampling")


def test_thinking_is_switched_off_where_a_schema_must_be_obeyed(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        await loaded.ask("Hello.", 30, schema=SCHEMA)
        assert (await state(loaded))["last"]["chat_template_kwargs"] == {"enable_thinking": False}
        await loaded.ask("Hello.", 4)
        assert "chat_template_kwargs" not in (await state(loaded))["last"]

    on(opened, "vllm", test)


def test_sglang_is_told_to_abort_what_it_does_not_notice(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        job = await loaded.job("Go on.", 400, ignore_eos=True)
        stream = loaded.engine.stream(job)
        await anext(stream)
        await asyncio.wait_for(stream.aclose(), 5)

        async def left() -> bool:
            found = await state(loaded)
            return found["running"] == 0 and found["aborted"] == 1

        await until(left, "the sequence is aborted")

    on(opened, "sglang", test, modes="deaf,token_s=0.05")


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_that_hangs_does_not_say_that_it_answers(kind: str, opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        await modes(loaded, hang=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loaded.engine.answers(), 0.5)
        await modes(loaded, hang=False)
        assert await asyncio.wait_for(loaded.engine.answers(), 20)

    on(opened, kind, test)


def test_the_engines_own_metrics_are_read(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        job = await loaded.job("word " * 200, 250, ignore_eos=True)
        answering = asyncio.create_task(loaded.engine.complete(job))

        async def told() -> bool:
            counters = loaded.engine.counters
            return bool(counters.kv_used and counters.kv_used > 0.3 and counters.steps > 0)

        await until(told, "the cache's use and the steps are read")
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering

    on(opened, "vllm", test, modes="token_s=0.02")


def test_a_reader_that_takes_nothing_holds_the_engine_and_not_our_memory(opened: Open) -> None:
    async def test(loaded: Loaded) -> None:
        job = await loaded.job("Go on.", 20_000, ignore_eos=True)
        async with contextlib.aclosing(loaded.engine.stream(job)) as stream:
            await anext(stream)
            made = [-1]

            async def stands_still() -> bool:
                await asyncio.sleep(0.5)
                made.append((await state(loaded))["generated"])
                return made[-1] == made[-2]

            await until(stands_still, "the engine waits for the reader")
            assert made[-1] < 20_000

    on(opened, "vllm", test, modes="token_s=0,token_chars=2000", max_model_len=30_000)
