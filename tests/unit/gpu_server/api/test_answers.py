"""The bodies of the answers: events in the protocol's form, and every form as the document has it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpu_server.api import answer_forms
from gpu_server.api.chat_answer import ChatChunks, chat_body
from gpu_server.api.completions_answer import CompletionsChunks, completions_body
from gpu_server.engines.base import Alternative, Completion, Piece, TokenLogprob, ToolCall, Usage

HEAD = {"id": "id", "created": 7, "model": 'a "model"'}
TOKENS = [
    TokenLogprob("é", -0.5, [195, 169], [Alternative("é", -0.5, [195, 169]), Alternative("e", -1.0)]),
    TokenLogprob("x", -0.1, None),
]
CALLS = [ToolCall(0, "c0", "look", '{"a": 1}'), ToolCall(1, "c1", "look", "{}")]


def parsed(events: str) -> list[dict[str, Any]]:
    return [json.loads(event.removeprefix("data: ")) for event in events.strip().split("\n\n")]


def test_chunks_are_events_of_the_protocol() -> None:
    chunks = ChatChunks(HEAD, include_usage=True, calls_kept=None)
    events = chunks.chunk(0, Piece('x\n"y" é')) + chunks.chunk(
        0, Piece("!", "hm", finish="stop", usage=Usage(3, 4))
    )
    got = parsed(events + chunks.usage(Usage(3, 4)))
    assert [chunk["choices"][0]["delta"] for chunk in got[:4]] == [
        {"role": "assistant", "content": ""},
        {"content": 'x\n"y" é'},
        {"reasoning_content": "hm", "content": "!"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in got[:4]] == [None, None, None, "stop"]
    assert [chunk["usage"] for chunk in got[:4]] == [None] * 4
    assert (got[4]["choices"], got[4]["usage"]["total_tokens"]) == ([], 7)
    assert {(chunk["model"], chunk["object"]) for chunk in got} == {('a "model"', "chat.completion.chunk")}


def test_every_choice_opens_with_its_role() -> None:
    chunks = ChatChunks(HEAD, include_usage=False, calls_kept=None)
    got = parsed(chunks.chunk(1, Piece("b")) + chunks.chunk(0, Piece("a")) + chunks.chunk(1, Piece("c")))
    shown = [(each["choices"][0]["index"], each["choices"][0]["delta"].get("content")) for each in got]
    assert shown == [(1, ""), (1, "b"), (0, ""), (0, "a"), (1, "c")]
    assert "usage" not in got[0]


def test_parts_of_calls_carry_id_and_name_once() -> None:
    chunks = ChatChunks(HEAD, include_usage=False, calls_kept=1)
    parts = [ToolCall(0, "c0", "look", ""), ToolCall(0, None, None, '{"a":'), ToolCall(1, "c1", "look", "")]
    got = parsed("".join(chunks.chunk(0, Piece("", tool_calls=[part])) for part in parts))
    assert [chunk["choices"][0]["delta"].get("tool_calls") for chunk in got] == [
        None,
        [{"index": 0, "id": "c0", "type": "function", "function": {"name": "look", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"a":'}}],
    ]  # the second call was not to be made


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_have_the_protocols_form(stream: bool) -> None:
    if stream:
        chunks = ChatChunks(HEAD, include_usage=False, calls_kept=None)
        body = parsed(chunks.chunk(0, Piece("éx", logprobs=TOKENS)))[1]
    else:
        done = Completion("éx", "stop", Usage(3, 4), 0.1, logprobs=TOKENS)
        body = chat_body(HEAD, [done], done.usage, logprobs=True, calls_kept=None)
    assert body["choices"][0]["logprobs"]["content"] == [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                {"token": "e", "logprob": -1.0, "bytes": None},
            ],
        },
        {"token": "x", "logprob": -0.1, "bytes": None, "top_logprobs": []},
    ]


def test_text_offsets_go_on_from_event_to_event() -> None:
    chunks = CompletionsChunks(HEAD, include_usage=False)
    got = parsed(
        "".join(chunks.chunk(0, Piece(token.token, logprobs=[token])) for token in (*TOKENS, *TOKENS))
    )
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in got] == [[0], [1], [2], [3]]
    assert [chunk["choices"][0]["text"] for chunk in got] == ["é", "x"] * 2


def test_bodies_are_as_the_document_has_them() -> None:
    done = Completion("", "tool_calls", Usage(3, 4), 0.1, reasoning="hm", tool_calls=CALLS, logprobs=TOKENS)
    body = chat_body({**HEAD, "service_tier": "flex"}, [done], done.usage, logprobs=True, calls_kept=1)
    read = answer_forms.ChatCompletion.model_validate_json(json.dumps(body))
    calls = read.choices[0].message.tool_calls
    assert (read.choices[0].message.content, calls and [call.id for call in calls]) == (None, ["c0"])
    text = Completion("éx", "length", Usage(3, 4), 0.1, logprobs=TOKENS)
    answer_forms.TextCompletion.model_validate_json(
        json.dumps(completions_body(HEAD, [text, text], text.usage, logprobs=True))
    )
