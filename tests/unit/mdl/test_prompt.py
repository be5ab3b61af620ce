"""A prompt holds all that is static in its system message and only the values in its user message."""

import gc
import json
import weakref
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field

from conduit import mdl
from conduit.errors import OutputInvalid, OutputTruncated
from conduit.mdl import from_text
from conduit.mdl.python.read import read
from conduit.mdl.reasoning import unwrap


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


def test_a_right_answer_becomes_the_value() -> None:
    parsed = mdl.prompt(triage).parse('{"topic":"billing","summary":"Charged twice"}')
    assert parsed.value == Ticket("billing", "Charged twice")
    assert parsed.repairs == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"topic":"food","summary":"x"}', "topic"),
        ('{"topic":"billing"}', "summary"),
        ("not json", "answer"),
        ("", "answer"),
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


def test_a_second_prompt_of_a_function_is_the_first_one() -> None:
    assert mdl.prompt(triage) is mdl.prompt(triage)
    assert mdl.prompt(triage, reasoning=True) is mdl.prompt(triage, reasoning=True)
    assert mdl.prompt(triage, reasoning=True) is not mdl.prompt(triage)


def test_a_prompt_is_forgotten_with_its_function() -> None:
    def make() -> weakref.ref[mdl.Prompt[int]]:
        def short(message: str) -> int:
            """Count."""

        return weakref.ref(mdl.prompt(short))

    kept = make()
    gc.collect()
    assert kept() is None


class Desk:
    def judge(self, message: str) -> int:
        """Judge it."""

    @classmethod
    def weigh(cls, message: str) -> int:
        """Weigh it."""


def test_a_method_is_asked_without_its_object() -> None:
    text = "INPUT\nmessage: str\n\nOUTPUT\n-> int"
    for method in (Desk.judge, Desk().judge, Desk.weigh):
        assert mdl.prompt(method).system.endswith(text)
    assert mdl.prompt(Desk().judge) is mdl.prompt(Desk.judge)


def test_a_function_without_parameters_has_no_input() -> None:
    def joke() -> str:
        """Tell a joke."""

    prompt = mdl.prompt(joke)
    assert prompt.system.endswith("Tell a joke.\n\nOUTPUT\n-> str")
    assert prompt.user({}) == "{}"


def test_a_local_function_finds_the_local_types_that_its_texts_name() -> None:
    @dataclass
    class Local:
        name: str

    def pick(name: str) -> int: ...

    pick.__annotations__ = {"names": "list[Local]", "name": "str", "return": "Local"}
    assert mdl.prompt(pick).output is Local


def test_parameters_take_docs_and_constraints_from_where_they_stand() -> None:
    def sell(
        item: Annotated[str, Field(max_length=9), "what"],
        count: int = Field(1, ge=1, description="how many"),
        *,
        price: Annotated[float, Field(gt=0, alias="cost")] = 1.5,
    ) -> bool:
        """Sell it.

        Args:
            item: not this.
            price: each.
        """

    assert mdl.prompt(sell).system.split("INPUT\n")[1].splitlines()[:3] == [
        "item: str(len<=9)  # what",
        "count: int(>=1) = 1  # how many",
        "price: float(>0) = 1.5  # each.",
    ]


GOOGLE = """Judge it.

Be strict:
    bug: it is broken

Args:
    text: what
        they wrote.

Returns:
    A label.

Raises:
    ValueError: never.

Examples:
    broken -> bug
"""
NUMPY = """Judge it.

Be strict.

Parameters
----------
text : str
    what
    they wrote.

Returns
-------
str
    A label.
"""
REST = """Judge it.

Be strict.

:param text: what
    they wrote.
:returns: A label.
"""


@pytest.mark.parametrize(
    ("doc", "instruction"),
    [
        (GOOGLE, "Judge it.\n\nBe strict:\n    bug: it is broken\n\nExamples:\nbroken -> bug"),
        (NUMPY, "Judge it.\n\nBe strict."),
        (REST, "Judge it.\n\nBe strict."),
    ],
    ids=["google", "numpy", "rest"],
)
def test_a_docstring_of_any_style_gives_instruction_and_docs(doc: str, instruction: str) -> None:
    def judge(text: str) -> str: ...

    judge.__doc__ = doc
    prompt = mdl.prompt(judge)
    assert prompt.instruction == instruction
    assert "INPUT\ntext: str  # what they wrote.\n" in prompt.system


def test_a_function_without_a_docstring_has_no_instruction() -> None:
    def judge(text: str) -> str: ...

    assert mdl.prompt(judge).system == (
        "Answer with JSON of type OUTPUT, nothing else.\n\nINPUT\ntext: str\n\nOUTPUT\n-> str"
    )


def test_reasoning_comes_first_in_a_record_and_apart_from_its_value() -> None:
    prompt = mdl.prompt(triage, reasoning=True)
    assert "OUTPUT\nreasoning: str  # how you come to the answer\ntopic: " in prompt.system
    assert list(prompt.schema["properties"]) == ["reasoning", "topic", "summary"]
    parsed = prompt.parse('{"reasoning":"They paid twice.","topic":"billing","summary":"x"}')
    assert (parsed.value, parsed.reasoning) == (Ticket("billing", "x"), "They paid twice.")


def test_reasoning_wraps_what_is_no_record() -> None:
    prompt = mdl.prompt(output=list[int], reasoning=True)
    assert prompt.system.endswith("reasoning: str  # how you come to the answer\nanswer: List[int]")
    parsed = prompt.parse('{"reasoning":"One, two.","answer":[1,2]}')
    assert (parsed.value, parsed.reasoning) == ([1, 2], "One, two.")
    assert prompt.parse("[1, 2]").value == [1, 2]


def test_a_field_of_that_name_is_not_the_model_s_reasoning() -> None:
    @dataclass
    class Review:
        reasoning: str
        ok: bool

    prompt = mdl.prompt(output=Review, reasoning=True)
    assert prompt.system.endswith("answer: Dict{reasoning: str, ok: bool}")
    parsed = prompt.parse('{"reasoning":"Mine.","answer":{"reasoning":"Theirs.","ok":true}}')
    assert (parsed.value, parsed.reasoning) == (Review("Theirs.", True), "Mine.")


def test_what_has_no_reasoning_is_the_value_itself() -> None:
    document = read(list[int])
    assert unwrap({"reasoning": "so", "answer": [1]}, document) == ("so", [1])
    for value in ([1], {"answer": [1]}, {"reasoning": 3, "answer": [1]}, {"reasoning": "so", "other": [1]}):
        assert unwrap(value, document) == ("", value)
    assert unwrap({"reasoning": "so", "name": "x"}, from_text("name: str")) == ("so", {"name": "x"})
