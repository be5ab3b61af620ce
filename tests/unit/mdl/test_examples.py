"""Examples are validated when the prompt is compiled, and stand in its static part."""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, computed_field, field_serializer

from conduit import mdl
from conduit.errors import ConduitError, ExampleInvalid


class Ticket(BaseModel):
    topic: Literal["billing", "other"]
    labels: set[str] = set()
    paid: dt.date | None = Field(None, alias="paidOn")

    @computed_field
    def urgent(self) -> bool:
        return self.topic == "billing"


def triage(message: str, limit: int = 3) -> Ticket:
    """Classify."""


def test_examples_follow_the_types_as_compact_json() -> None:
    prompt = mdl.prompt(
        triage,
        examples=[
            ({"message": 'Charged "twice"'}, Ticket(topic="billing", labels={"b", "a", "c"})),
            ({"message": "Hi", "limit": 1}, {"topic": "other", "paidOn": dt.date(2024, 1, 2)}),
        ],
    )
    assert prompt.system.split("\n\n")[-1].splitlines() == [
        "EXAMPLES",
        r'INPUT {"message":"Charged \"twice\""}',
        'OUTPUT {"topic":"billing","labels":["a","b","c"],"paidOn":null}',
        'INPUT {"message":"Hi","limit":1}',
        'OUTPUT {"topic":"other","labels":[],"paidOn":"2024-01-02"}',
    ]
    assert prompt.system.startswith(mdl.prompt(triage).system)
    for line in prompt.examples[1::2]:
        prompt.parse(line.removeprefix("OUTPUT "))


def test_examples_change_the_hash_and_only_when_there_are_any() -> None:
    examples = [({"message": "Hi"}, {"topic": "other"})]
    with_example = mdl.prompt(triage, examples=examples)
    assert with_example.hash == mdl.prompt(triage, examples=examples).hash
    assert with_example.hash != mdl.prompt(triage).hash == mdl.prompt(triage, examples=[]).hash


def test_types_alone_take_examples_too() -> None:
    prompt = mdl.prompt(output=list[int], input=Ticket, examples=[({"topic": "other"}, [1, 2])])
    assert prompt.examples == ('INPUT {"topic":"other","labels":[],"paidOn":null}', "OUTPUT [1,2]")
    assert mdl.prompt(output=int, examples=[(None, 3)]).examples == ("OUTPUT 3",)


def test_with_reasoning_an_example_has_a_third_part() -> None:
    examples = [({"message": "Hi"}, {"topic": "other"}, "A greeting.")]
    prompt = mdl.prompt(triage, examples=examples, reasoning=True)
    assert prompt.examples[1] == (
        'OUTPUT {"reasoning":"A greeting.","topic":"other","labels":[],"paidOn":null}'
    )
    wrapped = mdl.prompt(output=int, examples=[(None, 3, "Three.")], reasoning=True)
    assert wrapped.examples == ('OUTPUT {"reasoning":"Three.","answer":3}',)
    assert wrapped.parse(wrapped.examples[0].removeprefix("OUTPUT ")).value == 3


@dataclass
class Shape:
    parts: list[set[int] | Ticket]
    by_name: dict[str, set[int]]
    pair: tuple[set[int], str]
    more: list["Shape"]


def test_sets_are_written_in_one_order_wherever_they_stand() -> None:
    inner = Shape([{3, 1, 2}], {"a": {2, 1}}, ({9, 8}, "x"), [])
    value = Shape([Ticket(topic="other", labels={"z", "y"})], {}, (set(), ""), [inner])
    (line,) = mdl.prompt(output=Shape, examples=[(None, value)]).examples
    assert line == (
        'OUTPUT {"parts":[{"topic":"other","labels":["y","z"],"paidOn":null}],"by_name":{},"pair":[[],""],'
        '"more":[{"parts":[[1,2,3]],"by_name":{"a":[1,2]},"pair":[[8,9],"x"],"more":[]}]}'
    )


def hours(day: dt.date) -> Annotated[float, Field(le=24)]:
    """Count the hours."""


GOOD = ({"day": dt.date(2024, 1, 2)}, 8.0)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (({"day": "never"}, 1.0), "Example 2, inputs.day"),
        (({"day": "2024-01-02"}, 25), "Example 2, output: Input should be less than or equal to 24"),
        (({}, 1.0), "Example 2, inputs: .*day"),
        (({"day": "2024-01-02", "night": 1}, 1.0), "Example 2, inputs: .*night"),
        (("2024-01-02", 1.0), "Example 2, inputs: .*mapping"),
        (({"day": "2024-01-02"},), "Example 2, example"),
        (({"day": "2024-01-02"}, 1.0, "why"), "Example 2, example"),
        (7, "Example 2, example"),
    ],
)
def test_an_example_that_does_not_fit_is_refused_by_number(example: Any, words: str) -> None:
    with pytest.raises(ExampleInvalid, match=words) as caught:
        mdl.prompt(hours, examples=[GOOD, example])
    assert caught.value.number == 2
    assert caught.value.hint
    assert isinstance(caught.value, ConduitError)


def test_an_example_that_its_own_type_would_not_read_back_is_refused() -> None:
    class OneWay(BaseModel):
        value: int = Field(validation_alias="in", serialization_alias="out")

    with pytest.raises(ExampleInvalid, match=r"Example 1, output"):
        mdl.prompt(output=OneWay, examples=[(None, {"in": 3})])


def test_inputs_without_an_input_type_are_refused() -> None:
    with pytest.raises(ExampleInvalid, match="no input"):
        mdl.prompt(output=int, examples=[({"a": 1}, 3)])


def test_an_example_that_json_cannot_hold_is_refused() -> None:
    class Cut(BaseModel):
        value: float

        @field_serializer("value")
        def shorten(self, value: float) -> Any:
            raise ValueError("not today")

    with pytest.raises(ExampleInvalid, match=r"output: cannot be written as JSON .*not today"):
        mdl.prompt(output=Cut, examples=[(None, Cut(value=1))])


def test_an_option_of_a_union_is_written_by_its_own_fields() -> None:
    value = {"a": [1], "b": {"urgent": True, "topic": "other"}}
    type_ = dict[str, list[int] | dict[str, int] | Ticket]
    (line,) = mdl.prompt(output=type_, examples=[(None, value)]).examples
    assert line == 'OUTPUT {"a":[1],"b":{"topic":"other","labels":[],"paidOn":null}}'
