"""The decoding schema asks for every field and takes no other; in all else it takes what validation takes."""

import datetime
import decimal
import enum
import json
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Optional, TypedDict

import jsonschema
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from conduit import mdl
from conduit.mdl.form import Anything, Document, Limits, ListOf, MapOf, Ref, Scalar
from conduit.mdl.python.read import read
from conduit.mdl.schema import decoding_schema


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


def test_a_field_of_a_typed_dict_that_may_be_missing_may_be_left_out() -> None:
    class Note(TypedDict):
        text: str
        author: NotRequired[str]

    assert mdl.json_schema(Note)["required"] == ["text"]


def test_a_decimal_may_be_text_or_a_number_and_its_limits_are_the_number_s() -> None:
    schema = mdl.json_schema(Annotated[decimal.Decimal, Field(ge=0)])
    text, number = schema["anyOf"]
    assert text["type"] == "string"
    assert number == {"type": "number", "minimum": 0}


DECIMAL_KEYS = Document(MapOf(Scalar("decimal"), Scalar("int")))


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (int, "-12", "1.5"),
        (Color, "blue", "green"),
        (Annotated[str, Field(max_length=2)], "ab", "abc"),
        (decimal.Decimal, "1.5", "x"),
    ],
)
def test_keys_have_a_schema_of_their_own(key: Any, good: str, bad: str) -> None:
    document = read(dict[key, int]) if key is not decimal.Decimal else DECIMAL_KEYS
    validator = jsonschema.Draft202012Validator(decoding_schema(document))
    assert validator.is_valid({good: 1})
    assert not validator.is_valid({bad: 1})


def test_any_value_of_a_bare_schema_is_any_value() -> None:
    assert decoding_schema(Document(ListOf(Anything()))) == {"type": "array", "items": {}}


def test_definitions_are_forms_of_any_kind() -> None:
    document = Document(ListOf(Ref("Size")), (("Size", Scalar("int", Limits(ge=0))),))
    assert decoding_schema(document)["$defs"] == {"Size": {"type": "integer", "minimum": 0}}


def test_the_schema_of_plain_records_is_pinned() -> None:
    """The shipped model was trained to answer under it, and prompts are hashed with it."""

    @dataclass
    class Order:
        """An order.

        Args:
            name: who ordered.
        """

        name: str
        count: Annotated[int, Field(ge=1)]
        price: float
        paid: bool
        color: Color
        note: str | None = None

    assert mdl.json_schema(Order) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "who ordered."},
            "count": {"type": "integer", "minimum": 1},
            "price": {"type": "number"},
            "paid": {"type": "boolean"},
            "color": {"enum": ["red", "blue"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["name", "count", "price", "paid", "color", "note"],
        "additionalProperties": False,
    }
