"""The parts behind engines that are reached over HTTP, without any."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server.engines.base import (
    EngineError,
    Job,
    Message,
    PromptRefused,
    PromptTooLong,
    SchemaRefused,
    Tool,
    ToolCall,
    Usage,
)
from gpu_server.engines.remote.answers import Answer, whole_calls
from gpu_server.engines.remote.lengths import is_json, least_of
from gpu_server.engines.remote.metrics import values
from gpu_server.engines.remote.requests import body_of
from gpu_server.engines.remote.wire import Answered, meaning, parse, reason

HELLO = [Message("user", "Hello there.")]


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


@given(
    st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=12), st.lists(st.booleans(), max_size=12)
)
def test_pieces_join_to_the_text_however_the_events_are_bundled(texts: list[str], ends: list[bool]) -> None:
    answer, bursts, burst = Answer(), [], []
    for at, text in enumerate(texts):
        burst.append(delta(content=text))
        if at < len(ends) and ends[at]:
            bursts.append(burst)
            burst = []
    shown = [answer.feed(each) for each in [*bursts, burst, [delta("stop")]]]
    assert "".join(piece.text for piece in shown if piece) == "".join(texts) == answer.text
    assert answer.finish == "stop"
    assert answer.tokens == len(texts)


def test_the_finish_and_the_usage_are_kept_for_the_last_piece() -> None:
    answer = Answer()
    assert answer.feed([delta("length", content="end")]) is not None
    assert answer.feed([{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}]) is None
    assert (answer.finish, answer.usage) == ("length", Usage(5, 3))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_read_from_either_field(field: str) -> None:
    answer = Answer()
    piece = answer.feed([delta(**{field: "hm"}), delta(content="yes")])
    assert piece is not None
    assert (piece.reasoning, piece.text) == ("hm", "yes")
    assert (answer.reasoning, answer.text) == ("hm", "yes")


@pytest.mark.parametrize("finish", ["abort", "content_filter", "error"])
def test_an_end_of_the_engines_own_is_an_error(finish: str) -> None:
    with pytest.raises(EngineError, match=finish):
        Answer().feed([delta(finish)])


def test_the_parts_of_several_calls_join_by_their_place() -> None:
    parts = [
        ToolCall(1, "b", "second", '{"x"'),
        ToolCall(0, "a", "first", ""),
        ToolCall(0, None, None, "{}"),
        ToolCall(1, None, None, ": 1}"),
    ]
    assert whole_calls(parts) == [ToolCall(0, "a", "first", "{}"), ToolCall(1, "b", "second", '{"x": 1}')]


def test_the_older_form_of_log_probabilities_gives_the_likeliest_first_and_no_more_than_asked() -> None:
    report = {
        "tokens": ["a"],
        "token_logprobs": [-2.0],
        "top_logprobs": [{"a": -2.0, "b": -0.1, "c": -1.0}],
    }
    piece = Answer(most=2).feed([{"choices": [{"index": 0, "text": "a", "logprobs": report}]}])
    assert piece is not None
    assert [other.token for other in piece.logprobs[0].top] == ["b", "c"]


@pytest.mark.parametrize(
    ("message", "constrained", "expected"),
    [
        ("The input (9 tokens) is longer than the model's context length (8 tokens).", False, PromptTooLong),
        ("This model's maximum context length is 8 tokens. However, your prompt", True, PromptTooLong),
        ("max_tokens=600 cannot be greater than max_model_len=512.", False, PromptTooLong),
        ("the request exceeds the available context size, try increasing it", False, PromptTooLong),
        ("Failed to compile json grammar: no", True, SchemaRefused),
        ('Grammar error: Unimplemented keys: ["uniqueItems"]', True, SchemaRefused),
        ("Grammar error of nobody's schema", False, Answered),
        ("Conversation roles must alternate user/assistant", False, PromptRefused),
        ("temperature must be non-negative", False, Answered),
    ],
)
def test_a_refusal_is_told_in_the_engines_terms(
    message: str, constrained: bool, expected: type[Exception]
) -> None:
    assert type(meaning(Answered(400, message), constrained=constrained)) is expected


def test_a_failure_is_no_refusal_whatever_it_says() -> None:
    assert type(meaning(Answered(500, "maximum context length"), constrained=True)) is Answered


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "why", "code": 400}}',
        '{"object": "error", "message": "why", "code": 400}',
        '{"error": "why"}',
        '{"detail": "why"}',
        "why",
    ],
)
def test_the_words_of_a_refusal_are_found_in_every_form(body: str) -> None:
    assert reason(body) == "why"


def test_the_words_of_a_refusal_are_bounded() -> None:
    assert len(reason("x" * 100_000)) == 500


def test_what_is_no_json_is_an_error_without_its_text() -> None:
    with pytest.raises(EngineError) as refused:
        parse("secret words")
    assert "secret" not in str(refused.value)


def test_a_body_has_what_was_asked_and_nothing_else() -> None:
    path, body = body_of("m", Job(HELLO, 4, 16))
    assert path == "/v1/chat/completions"
    assert set(body) == {"model", "messages", "max_tokens", "stream", "stream_options"}
    job = Job(
        HELLO,
        4,
        16,
        temperature=0.0,
        top_k=3,
        seed=0,
        stop=["x"],
        ignore_eos=True,
        schema={"type": "object"},
        tools=[Tool("f", None, {}, strict=True)],
        tool_choice="f",
        logprobs=0,
    )
    _, body = body_of("m", job)
    assert (body["temperature"], body["top_k"], body["seed"], body["ignore_eos"]) == (0.0, 3, 0, True)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert (body["logprobs"], body["top_logprobs"]) == (True, 0)


def test_raw_text_goes_where_no_template_is_applied() -> None:
    path, body = body_of("m", Job([], 0, 4, prompt="Once", logprobs=2))
    assert path == "/v1/completions"
    assert (body["prompt"], body["logprobs"]) == ("Once", 2)
    assert "messages" not in body


def test_an_earlier_call_is_written_as_the_protocol_has_it() -> None:
    turns = [
        Message("assistant", "", tool_calls=[ToolCall(0, "c", "f", "{}")]),
        Message("tool", "4", tool_call_id="c"),
    ]
    _, body = body_of("m", Job(turns, 0, 4))
    call, answer = body["messages"]
    assert call["content"] is None
    assert call["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    assert answer == {"role": "tool", "content": "4", "tool_call_id": "c"}


def test_a_prompt_has_at_least_a_token_a_word() -> None:
    assert least_of(Job([*HELLO, Message("user", " one\ntwo  three ")], 0, 1)) == 5
    assert least_of(Job([], 0, 1, prompt="a b")) == 2


def test_half_a_value_is_no_json() -> None:
    assert is_json('{"a": 1}')
    assert not is_json('{"a": ')
    assert not is_json("")


def test_a_value_of_any_depth_breaks_nothing() -> None:
    assert is_json("[" * 100_000 + "]" * 100_000)
    with pytest.raises(EngineError):
        parse("[" * 100_000 + "]" * 100_000)


def test_a_metric_is_read_with_and_without_labels_and_for_each_rank() -> None:
    page = '# TYPE vllm:x gauge\nvllm:x{engine="0"} 0.25\nvllm:x{engine="1"} 0.5\nvllm:xy 9\nsglang:token_usage 1\n'
    assert values(page, "vllm:x") == [0.25, 0.5]
    assert values(page, "sglang:token_usage") == [1.0]
    assert values(page, "absent") == []
