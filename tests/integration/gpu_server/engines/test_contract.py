"""What every engine promises, whatever runs behind it. See conftest for the engines and how to take real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psutil
import pytest

from gpu_server.engines.base import EngineError, EngineLost, Job, Message, PromptTooLong, Unsupported
from gpu_server.engines.remote import servers

from .conftest import LIMIT, REAL, Loaded, until

KINDS = ["mistralrs", "sglang", "vllm", "openai", "openai on gpu_server"]
START_S = 600 if REAL else 60
pytestmark = pytest.mark.timeout(START_S)

SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"category": {"enum": ["billing", "bug"]}, "urgent": {"type": "boolean"}},
        "required": ["category", "urgent"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 3},
    {
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 5}},
        "required": ["text"],
        "additionalProperties": False,
    },
]

Run = Callable[[Callable[[Loaded], Awaitable[Any]]], Any]


@pytest.fixture(scope="module", params=KINDS)
def on(request: pytest.FixtureRequest, opened: Callable[..., Any]) -> Iterator[Run]:
    """Runs a test's coroutine function on an engine that is loaded once for all tests that only ask it."""
    with asyncio.Runner() as runner:
        opening = opened(request.param)
        loaded = runner.run(opening.__aenter__())
        try:
            yield lambda test: runner.run(test(loaded))
        finally:
            runner.run(opening.__aexit__(None, None, None))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_whole_answer_has_a_finish_and_the_engines_own_count(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        before = loaded.engine.counters.completion_tokens
        job = await loaded.job("Name three colours.", 8, temperature=0.0)
        answer = await loaded.engine.complete(job)
        assert answer.text
        assert answer.finish in ("stop", "length")
        assert 0 < answer.usage.completion_tokens <= 8
        assert answer.usage.prompt_tokens >= 5
        assert job.prompt_tokens in (0, answer.usage.prompt_tokens)
        assert loaded.engine.counters.completion_tokens == before + answer.usage.completion_tokens
        assert answer.first_token_s > 0

    on(test)


def test_the_pieces_of_a_stream_join_to_the_whole_answer(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        job = await loaded.job("Tell a story.", 24, temperature=0.0)
        whole = await loaded.engine.complete(job)
        pieces = [piece async for piece in loaded.engine.stream(job)]
        assert "".join(piece.text for piece in pieces) == whole.text
        assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        assert pieces[-1].finish == whole.finish
        assert pieces[-1].usage == whole.usage

    on(test)


@pytest.mark.parametrize("schema", SCHEMAS, ids=["object", "array", "short text"])
def test_a_schema_is_obeyed(on: Run, schema: dict[str, Any]) -> None:
    async def test(loaded: Loaded) -> None:
        for _ in range(3):
            answer = await loaded.ask("Write what you like.", 120, schema=schema, temperature=1.0)
            assert answer.finish == "stop"
            value = json.loads(answer.text)
            if schema["type"] == "array":
                assert 2 <= len(value) <= 3
                assert all(0 <= each <= 9 for each in value)
            else:
                assert set(value) == set(schema["required"])

    on(test)


def test_a_prompt_beyond_the_context_is_refused_or_read_whole(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        messages = [Message("user", "word " * (LIMIT + 50))]
        job = Job(messages, 0, 4)
        if loaded.kind == "mistralrs":  # it leaves the limit to the server, and has more room than that
            assert (await loaded.engine.complete(job)).usage.prompt_tokens > LIMIT + 50
        else:
            with pytest.raises(PromptTooLong, match=str(LIMIT)):
                await loaded.engine.complete(job)

    on(test)


def test_an_answer_that_has_no_room_behind_its_prompt_is_refused_or_made_whole(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        messages, wanted = [Message("user", "word " * (LIMIT // 8))], LIMIT - LIMIT // 16
        length = await loaded.engine.prompt_tokens(messages, constrained=False) or 0
        job = Job(messages, length, wanted)
        if loaded.kind == "mistralrs":
            answer = await loaded.engine.complete(job)
            assert answer.finish == "stop" or answer.usage.completion_tokens == wanted
        else:
            with pytest.raises(PromptTooLong, match=str(LIMIT)):
                await loaded.engine.complete(job)

    on(test)


def test_an_answer_ends_before_its_stop_string(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        whole = await loaded.ask("Tell a story.", 12, temperature=0.0)
        stop = whole.text[len(whole.text) // 2 :][:4]
        cut = await loaded.ask("Tell a story.", 12, temperature=0.0, stop=[stop])
        assert cut.text == whole.text[: whole.text.index(stop)]
        assert cut.finish == "stop"

    on(test)


def test_sampling_that_is_asked_for_is_taken(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        answer = await loaded.ask(
            "Hello.", 4, temperature=0.8, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5
        )
        assert answer.text

    on(test)


def test_what_it_cannot_do_is_refused_by_name(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        can = loaded.engine.abilities
        base = await loaded.job("Hello.", 4)
        asked: list[tuple[bool, str, dict[str, Any]]] = [
            (can.seeds, "seed", {"seed": 7}),
            (can.logprobs is not None, "logprobs", {"logprobs": 0}),
            (can.completions, "prompt", {"prompt": "Once", "messages": [], "prompt_tokens": 0}),
        ]
        for able, param, fields in asked:
            job = Job(
                **{"messages": base.messages, "prompt_tokens": base.prompt_tokens, "max_tokens": 4, **fields}
            )
            if able:
                assert (await loaded.engine.complete(job)).usage.completion_tokens
            else:
                with pytest.raises(Unsupported) as refused:
                    await loaded.engine.complete(job)
                assert refused.value.param == param
        with pytest.raises(Unsupported):
            await loaded.engine.embed(["Hello."])

    on(test)


def test_alternatives_are_reported_at_every_token(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        if loaded.engine.abilities.logprobs is None:
            pytest.skip("it reports none, and says so")
        answer = await loaded.ask("Hello.", 5, temperature=0.0, logprobs=2)
        assert len(answer.logprobs) == answer.usage.completion_tokens
        for row in answer.logprobs:
            assert row.logprob <= 0
            assert len(row.top) == 2

    on(test)


def test_equal_seeds_give_equal_answers(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        if not loaded.engine.abilities.seeds:
            pytest.skip("it has none, and says so")
        first, second, other = [
            (await loaded.ask("Write random words.", 24, seed=seed, temperature=1.0)).text
            for seed in (5, 5, 6)
        ]
        assert first == second != other

    on(test)


def test_requests_at_once_share_the_batch_and_answer_as_alone(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        prompts = [f"Count to {number}." for number in range(4)]
        alone = [(await loaded.ask(text, 24, temperature=0.0)).text for text in prompts]
        together = await asyncio.gather(*(loaded.ask(text, 24, temperature=0.0) for text in prompts))
        assert [answer.text for answer in together] == alone
        assert loaded.engine.counters.largest_batch > 1

    on(test)


def test_a_cancelled_request_leaves_the_engine_at_once(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        cancelled = loaded.engine.counters.cancelled
        job = await loaded.job("Go on for long.", LIMIT - 60, temperature=1.0)
        begun = asyncio.Event()

        async def read() -> None:
            async with contextlib.aclosing(loaded.engine.stream(job)) as stream:
                async for _ in stream:
                    begun.set()

        reading = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), 20)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reading, 10)
        assert loaded.engine.counters.cancelled == cancelled + 1

        async def left() -> bool:
            return await loaded.running() in (0, None)

        await until(left, "the cancelled request leaves the engine")

    on(test)


def test_the_counts_grow_while_an_answer_is_made(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        before = loaded.engine.counters.completion_tokens
        job = await loaded.job("Go on for long.", LIMIT - 60, temperature=1.0)
        answering = asyncio.create_task(loaded.engine.complete(job))

        async def grown() -> bool:
            return loaded.engine.counters.completion_tokens > before or answering.done()

        await until(grown, "tokens are counted before the answer is whole")
        await answering

    on(test)


def test_a_loaded_engine_says_that_it_answers(on: Run) -> None:
    async def test(loaded: Loaded) -> None:
        assert await asyncio.wait_for(loaded.engine.answers(), 20)

    on(test)


def test_a_killed_engine_is_noticed_and_its_requests_end(
    kind: str, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "REFUSED_S", 1.0)

    async def test() -> None:
        async with opened(kind, modes="token_s=0.05" if not kind.startswith("openai") else "") as loaded:
            engine = loaded.engine
            waiting = asyncio.create_task(engine.lost())
            job = await loaded.job("Go on for long.", LIMIT - 60, temperature=1.0)
            answering = asyncio.create_task(_first_then_rest(engine, job, begun := asyncio.Event()))
            await asyncio.wait_for(begun.wait(), 20)
            for pid in loaded.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with pytest.raises(EngineLost):
                await asyncio.wait_for(answering, 20)
            assert await asyncio.wait_for(waiting, 40)
            assert not await asyncio.wait_for(engine.answers(), 20)

    asyncio.run(test())


async def _first_then_rest(engine: Any, job: Job, begun: asyncio.Event) -> None:
    async with contextlib.aclosing(engine.stream(job)) as stream:
        async for _ in stream:
            begun.set()


def test_closing_ends_what_runs_and_leaves_no_process(kind: str, opened: Callable[..., Any]) -> None:
    async def test() -> None:
        async with opened(kind) as loaded:
            engine = loaded.engine
            job = await loaded.job("Go on for long.", LIMIT - 60, temperature=1.0)
            answering = asyncio.create_task(_first_then_rest(engine, job, begun := asyncio.Event()))
            await asyncio.wait_for(begun.wait(), 20)
            await asyncio.wait_for(engine.close(), 20)
            with contextlib.suppress(EngineError):  # what was on its way already may still arrive
                await asyncio.wait_for(answering, 20)
            if not kind.startswith("openai"):
                assert loaded.pids
                assert not [pid for pid in loaded.pids if _alive(pid)]
            with pytest.raises(EngineLost):
                await engine.complete(job)

    asyncio.run(test())


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
