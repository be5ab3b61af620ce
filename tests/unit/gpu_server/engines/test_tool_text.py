"""Calls found in the text of an answer, whole or in pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server.engines.base import Tool
from gpu_server.engines.tool_text import ToolText, call_schema, read_call

CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
OTHER = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
TOOLS = [
    Tool("weather", None, {"type": "object", "properties": {"city": {"type": "string"}}}),
    Tool("clock", "tells the time", {"type": "object"}),
]


def read(*pieces: str) -> tuple[str, list]:
    parts, shown, calls = ToolText(["weather"]), "", []
    for piece in pieces:
        text, found = parts.feed(piece)
        shown += text
        calls += found
    text, found = parts.rest()
    return shown + text, calls + found


@given(st.data())
def test_however_an_answer_is_cut_its_text_and_calls_are_the_same(data: st.DataObject) -> None:
    answer = f"Let me look < there.\n{CALL}\n{OTHER}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    shown, calls = read(*(answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)))
    assert shown == "Let me look < there.\n"
    assert [(call.index, call.name, json.loads(call.arguments)) for call in calls] == [
        (0, "weather", {"city": "Oslo"}),
        (1, "weather", {"city": "Rome"}),
    ]
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a < b, <tool",
        "<tool_call>no JSON</tool_call> and more",
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather", "argu',
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert read(text) == (text, [])
    assert read(*text) == (text, [])


def test_a_last_mark_may_be_missing() -> None:
    shown, calls = read(CALL.removesuffix("</tool_call>"))
    assert shown == ""
    assert calls[0].name == "weather"


def test_arguments_that_are_text_already_are_kept() -> None:
    call = read_call('{"name": "weather", "arguments": "{\\"city\\": 1}"}', 3)
    assert call is not None
    assert (call.index, call.arguments) == (3, '{"city": 1}')


def test_a_call_that_must_be_made_has_a_schema_and_a_free_answer_has_none() -> None:
    assert call_schema(TOOLS, "auto") is None
    assert call_schema(TOOLS, "none") is None
    required, named = call_schema(TOOLS, "required"), call_schema(TOOLS, "clock")
    assert required is not None
    assert named is not None
    assert [each["properties"]["name"]["const"] for each in required["anyOf"]] == ["weather", "clock"]
    assert named["properties"]["name"] == {"const": "clock"}
