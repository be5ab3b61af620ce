from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import jsonschema
import pytest
from annotated_types import Ge, Gt, Le, Len, Lt, MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from conduit import mdl
from conduit.errors import UnsupportedType
from conduit.lmlite.nodes.smallest import smallest


class Colour(Enum):
    RED = "red"


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)
    parent: Tree | None = None


class Strict(BaseModel):
    code: str = Field(pattern=r"^[A-Z][0-9]$")
    few: list[int] = Field(min_length=2, max_length=3)
    text: str = Field(min_length=3)


TYPES = [
    bool,
    int,
    float,
    str,
    date,
    datetime,
    time,
    timedelta,
    UUID,
    Decimal,
    Colour,
    Literal["a", "b"],
    int | None,
    str | int,
    list[int],
    tuple[int, str],
    tuple[int, ...],
    dict[str, int],
    dict[int, str],
    Tree,
    Strict,
    Annotated[int, Ge(3), MultipleOf(5)],
    Annotated[int, Gt(3), Lt(5)],
    Annotated[int, Le(-3)],
    Annotated[float, Gt(0), Le(1)],
    Annotated[list[str], Len(2, 4)],
    Annotated[dict[str, int], Len(2, 4)],
    Annotated[dict[int, int], Len(1, 4)],
    Annotated[set[int], Len(3)],
    Annotated[set[str], Len(2)],
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_the_smallest_value_fits_its_type(type_):
    prompt = mdl.prompt(output=type_)
    value = smallest(prompt.schema)
    jsonschema.validate(value, prompt.schema)
    prompt.parse(json.dumps(value))


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(1, 7))
def test_a_bounded_number_is_found_whenever_there_is_one(low, width, step):
    schema = {"type": "integer", "minimum": low, "maximum": low + width, "multipleOf": step}
    if any(number % step == 0 for number in range(low, low + width + 1)):
        jsonschema.validate(smallest(schema), schema)


def test_a_pattern_without_a_known_match_asks_for_an_answer():
    with pytest.raises(UnsupportedType, match="qq") as caught:
        smallest({"type": "string", "pattern": "^qq[0-9]{7}$"})
    assert "FakeLM" in caught.value.hint


def test_a_record_that_always_holds_itself_has_no_value():
    schema = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}},
    }
    with pytest.raises(UnsupportedType):
        smallest(schema)
