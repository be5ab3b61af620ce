"""Bytes that no client library would send: each gets an error in OpenAI's form, and the server serves on."""

from __future__ import annotations

import json

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
        (json.dumps(GOOD | {"n": 3}).encode(), 400, "unsupported_parameter"),
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
    answer = server.post(content)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == code
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
