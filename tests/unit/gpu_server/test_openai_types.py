"""The request's form: what is taken, and how what is not is named."""

import json
from typing import Any

import pytest

from gpu_server.api.openai_types import ChunkWriter, parse_chat_request
from gpu_server.engines.base import Message, Usage
from gpu_server.errors import ApiError

LEAST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def parse(**fields: Any):
    return parse_chat_request(json.dumps({**LEAST, **fields}).encode())


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
    ],
)
def test_what_is_no_json_object_is_400(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_chat_request(body)
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
        ({"response_format": {"type": "yaml"}}, "response_format", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": True}}},
            "response_format.json_schema.schema",
            "invalid_value",
        ),
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
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


def test_chunks_are_events_of_the_protocol() -> None:
    writer = ChunkWriter("id", 'a "model"', 7, include_usage=True)
    events = writer.delta({"content": 'x\n"y" é'}) + writer.delta({}, "stop") + writer.usage(Usage(3, 4))
    parsed = [json.loads(event.removeprefix("data: ")) for event in events.decode().strip().split("\n\n")]
    assert [chunk["choices"][0]["delta"] for chunk in parsed[:2]] == [{"content": 'x\n"y" é'}, {}]
    assert [chunk["usage"] for chunk in parsed[:2]] == [None, None]
    assert parsed[1]["choices"][0]["finish_reason"] == "stop"
    assert parsed[2]["choices"] == []
    assert parsed[2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert {chunk["model"] for chunk in parsed} == {'a "model"'}
