"""Typed streams, retries and thinking with a real engine: what the caller gets, and what the run log keeps."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field

from conduit import settings, store
from conduit.errors import OutputInvalid, OutputTruncated
from conduit.mdl import Partial

CHAT = [{"role": "user", "content": "hi there"}]


@dataclass
class Greeting:
    words: Annotated[list[Annotated[str, Field(max_length=12)]], Field(min_length=4, max_length=4)]
    tone: Literal["warm", "cool"]


def never(value: bool) -> bool:
    raise ValueError("no value will do")


@dataclass
class Impossible:
    loud: Annotated[bool, AfterValidator(never)]


def log():
    return store.open_store(settings.load()).model_calls(limit=1000)


def test_a_typed_stream_grows_to_the_value_that_a_call_gives(deploy):
    with deploy() as lm:
        whole = lm(output=Greeting, guidance="Greet.")
        *partials, last = lm.stream(output=Greeting, guidance="Greet.")

        async def asynchronous():
            return [event async for event in lm.astream(output=Greeting, guidance="Greet.")]

        assert last == whole == asyncio.run(asynchronous())[-1]
        assert (
            len(partials) > 1
        )  # an engine that is ahead of its reader hands out several tokens as one piece
        assert all(isinstance(partial, Partial) for partial in partials)
        assert partials[-1].value == {"words": whole.words, "tone": whole.tone}
        streamed, called = log()[1:]
        assert streamed.completion_tokens == called.completion_tokens > 0
        assert streamed.attempt_log[0].finish_reason == "stop"


def test_leaving_a_typed_stream_frees_its_place_at_the_replica(deploy):
    with deploy(concurrency=1) as lm:
        stream = lm.stream(output=str, max_tokens=4000)
        next(stream)
        stream.close()
        assert lm(messages=CHAT, max_tokens=2, timeout_s=20) is not None


def test_every_attempt_is_in_the_run_log_with_its_tokens(deploy):
    with deploy() as lm:
        with pytest.raises(OutputInvalid, match="after 3 attempts") as caught:
            lm(output=Impossible)
        assert any(line.startswith("loud") for line in caught.value.errors)
        [row] = log()
    assert (row.error, row.attempts) == ("mdl.output_invalid", 3)
    assert [attempt.error for attempt in row.attempt_log] == ["mdl.output_invalid"] * 3
    assert all(attempt.problems == 1 and attempt.finish_reason == "stop" for attempt in row.attempt_log)
    first, second, third = (attempt.prompt_tokens for attempt in row.attempt_log)
    assert first < second == third  # each retry holds the first prompt and one bad answer
    assert row.prompt_tokens == first + second + third
    assert row.completion_tokens == sum(attempt.completion_tokens for attempt in row.attempt_log) > 0


def test_a_truncated_stream_tells_what_was_readable(deploy):
    with deploy() as lm:
        seen = []
        with pytest.raises(OutputTruncated) as caught:
            seen.extend(lm.stream(output=Greeting, guidance="Greet.", max_tokens=12))
        assert caught.value.partial == seen[-1].value
        assert caught.value.completion_tokens == 12
        [row] = log()
    assert row.attempt_log[0].finish_reason == "length"


def test_a_reasoning_models_thinking_is_no_answer(deploy, thinking_weights):
    with deploy(model=thinking_weights) as lm:
        with pytest.raises(OutputTruncated, match="12 tokens"):
            lm(messages=CHAT, max_tokens=12)
        with pytest.raises(OutputTruncated, match="12 tokens"):
            list(lm.stream(messages=CHAT, max_tokens=12))
        assert isinstance(lm(output=Greeting), Greeting)
        *_, last = lm.stream(output=Greeting)
        assert isinstance(last, Greeting)
