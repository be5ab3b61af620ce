"""The decoding schema asks for every field and takes no other; lowering reports what it leaves to validation."""

import datetime
import decimal
import enum
import json
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import jsonschema
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from conduit import mdl


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    left: int
    right: str


class Part(TypedDict):
    name: str


@dataclass
class Node:
    name: str
    children: "list[Node]" = field(default_factory=list)


@dataclass
class Everything:
    text: str
    number: int
    ratio: float
    yes: bool
    when: datetime.datetime
    day: datetime.date
    clock: datetime.time
    length: datetime.timedelta
    key: uuid.UUID
    money: decimal.Decimal
    color: Color
    choice: Literal["a", 1, None]
    maybe: Optional[int]
    either: str | int
    many: list[int]
    unique: set[str]
    fixed: tuple[int, str]
    open_tuple: tuple[int, ...]
    by_name: dict[str, float]
    by_number: dict[int, str]
    pair: Pair
    part: Part
    tree: Node
    bounded: Annotated[str, Field(max_length=4, pattern="^[a-z]*$")]


def test_every_field_is_required_and_none_may_be_added() -> None:
    schema = mdl.json_schema(Node)
    node = schema["$defs"]["Node"]
    assert node["required"] == ["name", "children"]
    assert node["additionalProperties"] is False
    assert "default" not in json.dumps(schema)


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(mdl.json_schema(Everything))


_SCALARS = st.sampled_from([str, int, float, bool, datetime.date, uuid.UUID, decimal.Decimal, Color])
_TYPES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        inner.map(lambda t: list[t]),
        inner.map(lambda t: Optional[t]),
        inner.map(lambda t: dict[str, t]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        inner.map(lambda t: dataclass(type("R", (), {"__annotations__": {"a": t, "b": int}}))),
    ),
    max_leaves=5,
)


@given(type_=_TYPES, data=st.data())
def test_what_pydantic_writes_fits_the_schema_and_parses_back(type_: Any, data: st.DataObject) -> None:
    finite = {
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(st.characters(codec="utf-8")),
    }
    for kind, strategy in finite.items():
        st.register_type_strategy(kind, strategy)
    st.register_type_strategy(
        decimal.Decimal,
        st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000),
    )
    adapter = pydantic.TypeAdapter(type_)
    value = data.draw(st.from_type(type_))
    text = adapter.dump_json(value).decode()
    validator = jsonschema.Draft202012Validator(mdl.json_schema(type_))
    validator.validate(json.loads(text))
    assert adapter.dump_json(mdl.parse(text, type_).value).decode() == text


def test_lowering_reports_what_the_mask_no_longer_enforces() -> None:
    lowered = mdl.lower(mdl.json_schema(set[str]), "llguidance")
    assert lowered.changes == ("$.uniqueItems: left to validation",)
    assert "uniqueItems" not in lowered.schema
    assert lowered.schema["x-guidance"]["whitespace_flexible"] is False


def test_lowering_keeps_fields_that_are_named_like_keywords() -> None:
    @dataclass
    class Odd:
        uniqueItems: int
        format: Literal["uri"]

    lowered = mdl.lower(mdl.json_schema(Odd), "llguidance")
    assert list(lowered.schema["properties"]) == ["uniqueItems", "format"]
    assert lowered.changes == ()


def test_look_around_is_left_to_validation() -> None:
    lowered = mdl.lower({"type": "string", "pattern": "^(?!x)"}, "llguidance")
    assert "pattern" not in lowered.schema
    assert len(lowered.changes) == 1


def test_an_engine_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown engine"):
        mdl.lower({}, "other")  # type: ignore[arg-type]
