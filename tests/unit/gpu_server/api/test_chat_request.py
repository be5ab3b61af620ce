"""The request's form: what is taken, and how what is not is named."""

import json
from typing import Any

import pytest

from gpu_server.api.chat_request import ChatRequest
from gpu_server.api.reading import read
from gpu_server.engines.base import Message, Tool, ToolCall
from gpu_server.errors import ApiError

LEAST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def parse(**fields: Any):
    return read(json.dumps({**LEAST, **fields}).encode(), ChatRequest)


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


def choice(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def test_the_least_request() -> None:
    request = parse()
    assert (request.model, request.stops, request.schema_wanted, request.max_tokens_wanted) == (
        "m",
        (),
        None,
        None,
    )


def test_text_parts_become_one_text_and_developer_becomes_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = parse(messages=[{"role": "developer", "content": "x"}, {"role": "user", "content": parts}])
    assert [message.plain() for message in request.messages] == [
        Message("system", "x"),
        Message("user", "ab"),
    ]


def test_a_conversation_with_calls_is_taken_as_it_is_sent_back() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    request = parse(
        messages=[
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "refusal": None, "annotations": [], "tool_calls": [call]},
            {"role": "tool", "content": "found", "tool_call_id": "c1"},
        ],
        tools=[tool("look")],
        tool_choice=choice("look"),
        parallel_tool_calls=False,
    )
    assert [message.plain() for message in request.messages[1:]] == [
        Message("assistant", "", tool_calls=[ToolCall(0, "c1", "look", '{"a": 1}')]),
        Message("tool", "found", tool_call_id="c1"),
    ]
    assert request.tools_offered == [Tool("look", None, SCHEMA)]
    assert (request.tool_chosen, request.calls_kept) == ("look", 1)


def test_an_integer_is_what_json_schema_calls_one() -> None:
    assert parse(max_tokens=5.0, n=2.0, seed=-3.0).max_tokens_wanted == 5


def test_only_flex_is_served_as_a_batch() -> None:
    tiers = {given: parse(service_tier=given).tier_served for given in ("auto", "priority", "flex", None)}
    assert tiers == {"auto": "default", "priority": "default", "flex": "flex", None: None}


def test_the_new_name_of_the_limit_wins() -> None:
    assert parse(max_tokens=5, max_completion_tokens=7).max_tokens_wanted == 7
    assert parse(max_tokens=5).max_tokens_wanted == 5


def test_response_formats() -> None:
    assert parse(response_format={"type": "text"}).schema_wanted is None
    assert parse(response_format={"type": "json_object"}).schema_wanted == {"type": "object"}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    assert parse(response_format=wanted).schema_wanted == SCHEMA


def test_fields_that_ask_for_nothing_are_taken() -> None:
    parse(
        n=1,
        logprobs=False,
        tools=[],
        tool_choice="none",
        user="me",
        metadata={"a": "b"},
        seed=None,
        store=False,
    )
    parse(logit_bias=None, anything_at_all=None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"model": "\xff"}', "invalid_json"),
        (b"[]", "invalid_value"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"model": "m", "model": "n", "messages": [{"role": "user", "content": "x"}]}', "invalid_json"),
        (b'{"model": "m", "messages": [{"role": "user", "role": "user", "content": "x"}]}', "invalid_json"),
        (b'{"model": "m", "metadata": NaN, "messages": []}', "invalid_value"),
        (b'{"model": "m", "seed": ' + b"9" * 5000 + b', "messages": []}', "invalid_json"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', "invalid_json"),
    ],
)
def test_what_is_no_json_object_is_400(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(body, ChatRequest)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": 5}, "model", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": -3}, "max_tokens", "invalid_value"),
        ({"max_tokens": "5"}, "max_tokens", "invalid_value"),
        ({"temperature": -1}, "temperature", "invalid_value"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"top_p": 0}, "top_p", "invalid_value"),
        ({"stop": [""]}, "stop[0]", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0]", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "invalid_value"),
        ({"messages": [{"role": "user", "content": "x", "mood": 1}]}, "messages[0].mood", "invalid_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_value"),
        ({"top_k": 2**31}, "top_k", "invalid_value"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "invalid_value"),
        ({"tools": [tool("no spaces")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("a"), tool("a")]}, "tools", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": choice("b"), "tools": [tool("a")]}, "tool_choice", "invalid_value"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"service_tier": "gold"}, "service_tier", "invalid_value"),
        ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": True}}},
            "response_format.json_schema.schema",
            "invalid_value",
        ),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 17}, "n", "invalid_value"),
        ({"functions": [{}]}, "functions", "unsupported_parameter"),
        ({"function_call": "auto"}, "function_call", "unsupported_parameter"),
        ({"reasoning_effort": "high"}, "reasoning_effort", "unsupported_parameter"),
        ({"modalities": ["audio"]}, "modalities", "unsupported_parameter"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "unsupported_parameter"),
        ({"store": 0}, "store", "unsupported_parameter"),
        ({"guided_json": {}}, "guided_json", "unsupported_parameter"),
    ],
)
def test_what_cannot_be_done_is_400_and_named(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(**fields)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)
    assert param in refused.value.message
