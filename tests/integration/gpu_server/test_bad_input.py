"""Bytes that no client library would send: each gets an error in OpenAI's form, and the server serves on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import pytest

GOOD = {"model": "random", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0}


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b'{"model": "random", "messages": [', 400, "invalid_json"),
        (b"null", 400, "invalid_value"),
        (b'{"model": "\xff\xfe"}', 400, "invalid_json"),
        (json.dumps(GOOD).encode("utf-16"), 400, "invalid_json"),
        (
            json.dumps(GOOD | {"messages": [{"role": "user", "content": "\ud800"}]}).encode(),
            400,
            "invalid_json",
        ),
        (json.dumps(GOOD | {"messages": "hi"}).encode(), 400, "invalid_value"),
        (json.dumps(GOOD | {"max_tokens": -1}).encode(), 400, "invalid_value"),
        (json.dumps(GOOD | {"max_tokens": 10**30}).encode(), 400, "context_length_exceeded"),
        (json.dumps(GOOD | {"temperature": "hot"}).encode(), 400, "invalid_value"),
        (json.dumps(GOOD | {"n": 99}).encode(), 400, "invalid_value"),
        (json.dumps(GOOD | {"logit_bias": {"5": 3}}).encode(), 400, "unsupported_parameter"),
        (json.dumps(GOOD | {"no_such_field": 1}).encode(), 400, "unsupported_parameter"),
        (json.dumps(GOOD | {"temperature": float("nan")}).encode(), 400, "invalid_value"),
        (json.dumps(GOOD | {"top_k": 10**40}).encode(), 400, "invalid_value"),
        (b'{"top_k": ' + b"9" * 10_000 + b"}", 400, "invalid_json"),
        (json.dumps(GOOD).encode()[:-1] + b', "model": "other"}', 400, "invalid_json"),
        (b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "invalid_json"),
        (json.dumps(GOOD | {"response_format": {"type": "regex"}}).encode(), 400, "invalid_value"),
        (
            json.dumps(GOOD | {"messages": [{"role": "user", "content": "x" * 10_000_000}]}).encode(),
            413,
            "body_too_large",
        ),
        (
            json.dumps(GOOD | {"messages": [{"role": "user", "content": "word " * 700_000}]}).encode(),
            400,
            "context_length_exceeded",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_bodies(server, content: bytes, status: int, code: str) -> None:
    with running_beside(server):
        answer = server.post(content)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] == code
        assert server.post(json.dumps(GOOD).encode()).status_code == 200


@contextmanager
def running_beside(server: Any) -> Iterator[None]:
    """A stream that has begun before and says after all the same as without a neighbour."""
    asked = {**GOOD, "max_tokens": 200, "messages": [{"role": "user", "content": "a long story"}]}
    with server.client() as client:
        alone = client.chat.completions.create(**asked, extra_body={"ignore_eos": True})
        with client.chat.completions.create(**asked, stream=True, extra_body={"ignore_eos": True}) as stream:
            text = next(iter(stream)).choices[0].delta.content
            yield
            text += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == alone.choices[0].message.content


def _nested(kind: str, depth: int) -> dict[str, Any]:
    return reduce(lambda inner, _: {kind: [inner, {"type": "integer"}]}, range(depth), {"type": "string"})


@pytest.mark.parametrize(
    "schema",
    [
        _nested("oneOf", 40),
        _nested("allOf", 90),
        {"type": "string", "pattern": "^((((a{1,99}){1,99}){1,99}b?){1,99}|c){1,99}$" * 20},
        {"enum": [f"value {index}" for index in range(100_000)]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"allOf": [{"anyOf": [{"properties": {f"a{i}{j}": {}}} for j in range(10)]} for i in range(8)]},
    ],
    ids=["deep oneOf", "deeper allOf", "exploding pattern", "large enum", "cycle", "exploding choice"],
)
def test_a_hostile_schema_is_refused_while_another_request_streams_on(server, schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with running_beside(server):
        for stream in (False, True):
            answer = server.post(json.dumps(GOOD | {"response_format": wanted, "stream": stream}).encode())
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json_schema")
        assert server.post(json.dumps(GOOD).encode()).status_code == 200


def test_nulls_and_controls_in_a_prompt_are_text(server) -> None:
    body = GOOD | {"messages": [{"role": "user", "content": "a\x00b\x1b[31m"}]}
    assert server.post(json.dumps(body).encode()).status_code == 200


def test_headers_have_a_limit(server) -> None:
    answer = server.post(json.dumps(GOOD).encode(), **{"x-long": "x" * 100_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")
    assert server.post(json.dumps(GOOD).encode()).status_code == 200


def test_no_text_of_prompts_or_answers_and_no_token_in_the_log(server) -> None:
    body = GOOD | {"messages": [{"role": "user", "content": "unspeakable secret"}]}
    answer = server.post(json.dumps(body).encode(), **{"x-request-id": "look-for-me"})
    lines = [json.loads(line) for line in server.log.splitlines()]
    line = next(line for line in lines if line.get("id") == "look-for-me")
    assert (line["status"], line["model"], line["completion_tokens"]) == (200, "random", 4)
    assert "unspeakable" not in server.log
    assert answer.json()["choices"][0]["message"]["content"] not in server.log
    assert "integration-token" not in server.log
