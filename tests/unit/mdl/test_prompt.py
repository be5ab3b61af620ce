"""A prompt holds all that is static in its system message and only the values in its user message."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field

from conduit import mdl
from conduit.errors import OutputInvalid, OutputTruncated


@dataclass
class Ticket:
    topic: Literal["billing", "other"]
    summary: Annotated[str, Field(max_length=40)]


def triage(message: str, urgent: bool = False) -> Ticket:
    """Classify a support message.

    Be strict.

    Args:
        message: what they wrote.
    """


def test_a_function_becomes_instruction_input_and_output() -> None:
    assert mdl.prompt(triage).system == (
        "Answer with JSON of type OUTPUT, nothing else.\n\n"
        "Classify a support message.\n\nBe strict.\n\n"
        "INPUT\nmessage: str  # what they wrote.\nurgent: bool = false\n\n"
        'OUTPUT\ntopic: Literal["billing", "other"]\nsummary: str(len<=40)'
    )


def test_the_user_message_is_compact_json_of_the_values_alone() -> None:
    prompt = mdl.prompt(triage)
    assert prompt.user({"message": 'Hé "you"', "urgent": True}) == '{"message":"Hé \\"you\\"","urgent":true}'
    assert "Hé" not in prompt.system


def test_types_alone_make_a_prompt_too() -> None:
    prompt = mdl.prompt(output=list[int], input=Ticket, instruction="  Count.  ")
    assert prompt.system.endswith("OUTPUT\n-> List[int]")
    assert prompt.instruction == "Count."
    assert prompt.user(Ticket("other", "x")) == '{"topic":"other","summary":"x"}'
    assert mdl.prompt(output=int).user(None) == "{}"


def test_the_hash_covers_instruction_input_and_output() -> None:
    base = mdl.prompt(output=int, input=Ticket, instruction="Count.")
    assert base.hash == mdl.prompt(output=int, input=Ticket, instruction="Count.").hash
    others = [
        mdl.prompt(output=float, input=Ticket, instruction="Count."),
        mdl.prompt(output=int, input=int, instruction="Count."),
        mdl.prompt(output=int, input=Ticket, instruction="Count"),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 4


def test_the_hash_is_equal_in_another_process() -> None:
    code = "from conduit import mdl; print(mdl.prompt(output=dict[str, set[int]], instruction='é').hash)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == mdl.prompt(output=dict[str, set[int]], instruction="é").hash


def test_a_right_answer_becomes_the_value() -> None:
    parsed = mdl.prompt(triage).parse('{"topic":"billing","summary":"Charged twice"}')
    assert parsed.value == Ticket("billing", "Charged twice")
    assert parsed.repairs == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"topic":"food","summary":"x"}', "topic"),
        ('{"topic":"billing"}', "summary"),
        ('{"topic":"billing","summary":7}', "summary"),
        ("not json", "answer"),
        ("", "answer"),
        ('{"topic":"billing","summary":"x"} and more', "answer"),
        (json.dumps({"topic": "billing", "summary": "x" * 41}), "summary"),
    ],
)
def test_a_wrong_answer_is_refused_by_path_and_keeps_its_text(text: str, path: str) -> None:
    with pytest.raises(OutputInvalid) as caught:
        mdl.prompt(triage).parse(text)
    assert caught.value.errors[0].startswith(f"{path}: ")
    assert caught.value.raw == text


def test_a_truncated_answer_is_never_a_value() -> None:
    with pytest.raises(OutputTruncated) as caught:
        mdl.prompt(triage).parse('{"topic":"billing","summary":"x"}', truncated=True)
    assert caught.value.raw


def test_text_that_only_looks_like_a_number_is_not_one() -> None:
    with pytest.raises(OutputInvalid):
        mdl.parse('"12"', int)
