"""Reasoning and answer come apart, whichever way the model wrote them down."""

from typing import Literal

import pytest
from pydantic import BaseModel

from conduit import mdl
from conduit.errors import OutputInvalid, OutputTruncated


class Verdict(BaseModel):
    label: Literal["spam", "ham"]
    score: int


@pytest.mark.parametrize(
    "raw",
    [
        '{"reasoning": "It sells.", "label": "spam", "score": 9}',
        "```json\n{'reasoning': 'It sells.', 'label': 'Spam', 'score': '9',}\n```",
        '<think>It sells.</think>{"label": "spam", "score": 9}',
        '<think>It sells.</think>\n{"label": "spam", "score": 9,}',
        'It sells.\n</think>\n{"label": "spam", "score": 9}',
        '[THINK]It sells.[/THINK]{"label": "spam", "score": 9}',
    ],
)
def test_a_record_has_it_in_a_field_or_in_tags(raw: str) -> None:
    parsed = mdl.parse(raw, Verdict, reasoning=True)
    assert parsed.value == Verdict(label="spam", score=9)
    assert parsed.reasoning == "It sells."


def test_any_other_type_is_the_answer_of_a_pair() -> None:
    parsed = mdl.parse('{"reasoning": "Two and two.", "answer": 4}', int, reasoning=True)
    assert (parsed.value, parsed.reasoning) == (4, "Two and two.")
    assert mdl.parse("4", int, reasoning=True).value == 4


def test_reasoning_alone_is_no_answer() -> None:
    with pytest.raises(OutputInvalid):
        mdl.parse('{"reasoning": "It sells."}', Verdict, reasoning=True)
    with pytest.raises(OutputInvalid, match="is empty"):
        mdl.parse('<think>{"label": "spam", "score": 9}</think>', Verdict)
    with pytest.raises(OutputTruncated):
        mdl.parse("<think>It sells", Verdict, truncated=True)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("4", "", "4"),
        ("<think>a</think>4", "a", "4"),
        ("<think>a</think><think>b</think> 4", "a\nb", "4"),
        ("\n<THINKING>a</THINKING>\n\n4", "a", "4"),
        ("◁think▷a◁/think▷4", "a", "4"),
        ("a</think>4", "a", "4"),
        ("<think>a", "a", ""),
        ('{"html": "<think>x</think>"}', "", '{"html": "<think>x</think>"}'),
        ('{"html": "</think>"}', "", '{"html": "</think>"}'),
    ],
)
def test_tags_are_told_from_an_answers_own_text(text: str, thinking: str, answer: str) -> None:
    from conduit.mdl.answer import split_thinking

    assert split_thinking(text) == (thinking, answer)
