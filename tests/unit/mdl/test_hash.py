"""A prompt's hash is one number for all processes, hash seeds and Python versions."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from conduit import mdl

TYPES = '''
import enum
from dataclasses import dataclass, field
from typing import Annotated, Literal, Optional
from pydantic import BaseModel, Field
from conduit import mdl

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Item:
    name: Annotated[str, Field(max_length=9, pattern="^[a-z]+$"), "its name"]
    colours: set[Colour] = field(default_factory=lambda: {Colour.RED, Colour.BLUE})
    labels: frozenset[str] = frozenset({"a", "b", "c", "d"})
    parts: "list[Item]" = field(default_factory=list)

def judge(text: str, items: dict[str, Item]) -> Optional[Item]:
    """Judge é."""

examples = [({"text": "a", "items": {}}, Item("x", labels=frozenset({"z", "y", "x", "w"})))]
for prompt in (mdl.prompt(judge), mdl.prompt(judge, examples=examples), mdl.prompt(judge, reasoning=True)):
    print(prompt.hash, prompt.system)
print(mdl.json_schema(Item))
'''


def test_prompt_and_hash_are_equal_under_every_hash_seed() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", TYPES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(printed) == 1


@dataclass
class Plain:
    name: str
    count: Annotated[int, Field(ge=0, lt=10)]
    share: float = 0.5
    ok: bool = True


class Nested(BaseModel):
    """A record.

    Attributes:
        plain: the first.
    """

    plain: Plain
    others: list[Plain] = Field(default_factory=list)
    kind: Literal["a", 1, None] = "a"
    note: Optional[Annotated[str, Field(max_length=80)]] = None


@dataclass
class Tree:
    name: str
    children: "list[Tree]" = field(default_factory=list)


def triage(message: str, limit: int = 3) -> Nested:
    """Classify a support message.

    Args:
        message: what they wrote.
    """


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            lambda: mdl.prompt(output=Plain),
            "5e0ec690afb92353dbd34eddb672af0468bc7d05915a2d571bd5075b02fb56a2",
        ),
        (
            lambda: mdl.prompt(output=Nested, input=Plain, instruction="Sum up: all, é."),
            "8e10540c72f96d6d3c4180a0ac7b43a5591b2ae0f2910a60990fe8ca82151e80",
        ),
        (
            lambda: mdl.prompt(output=list[Tree]),
            "25998a4858f102dacc94b5f50fa85d7a681536ceef9c02285962e0b3faaf87bf",
        ),
        (lambda: mdl.prompt(triage), "d2de840dd067f5ea53f59ca41d29be3771499a5c0a7ac6059ad253521c6e7f6f"),
        (
            lambda: mdl.prompt(output=dict[str, tuple[int, ...]], reasoning=True),
            "3658e7153869fca94599b14d5f11f3cd5e8dfe8629cbfe40f629dc85b44b7add",
        ),
    ],
    ids=["plain", "nested", "recursive", "function", "reasoning"],
)
def test_the_hash_of_these_prompts_never_changes(prompt: Any, expected: str) -> None:
    assert prompt().hash == expected


def test_the_hash_covers_instruction_input_and_output() -> None:
    prompts = [
        mdl.prompt(output=int, input=Plain, instruction="Count."),
        mdl.prompt(output=float, input=Plain, instruction="Count."),
        mdl.prompt(output=int, input=int, instruction="Count."),
        mdl.prompt(output=int, input=Plain, instruction="Count"),
        mdl.prompt(output=int, instruction="Count."),
        mdl.prompt(output=int, input=Plain, instruction="Count.", reasoning=True),
    ]
    assert len({prompt.hash for prompt in prompts}) == len(prompts)
    assert mdl.prompt(output=int, input=Plain, instruction="Count.").hash == prompts[0].hash
