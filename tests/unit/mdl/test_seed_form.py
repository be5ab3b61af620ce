"""The seed form is one line a field, byte for byte."""

import datetime
import enum
from dataclasses import dataclass, field
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, Union

import pytest
from pydantic import BaseModel, Field

from conduit.errors import ConduitError, UnsupportedType
from conduit.mdl import compile_mdl


@dataclass
class Point:
    x: int
    y: Optional[str]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def line(annotation: Any) -> str:
    """The seed line of a record's only field."""
    record = dataclass(type("Record", (), {"__annotations__": {"f": annotation}}))
    (found,) = compile_mdl(record)
    return found


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, "f: int"),
        (str, "f: str"),
        (float, "f: float"),
        (bool, "f: bool"),
        (Optional[List[str]], "f: Optional[List[str]]"),
        (List[Point], "f: List[Dict{x: int, y: Optional[str]}]"),
        (Union[str, int], "f: Union[str, int]"),
        (Union[int, None], "f: Optional[int]"),
        (Optional[Union[str, int]], "f: Optional[Union[str, int]]"),
        (Tuple[int, ...], "f: Tuple[int, ...]"),
        (Tuple[int, str], "f: Tuple[int, str]"),
        (Dict[str, int], "f: Dict[str, int]"),
        (str | None, "f: Optional[str]"),
        (int | str | None, "f: Optional[Union[int, str]]"),
        (list[int], "f: List[int]"),
        (set[int], "f: List[int]"),
        (Literal["a", 2, True], 'f: Literal["a", 2, true]'),
        (Color, 'f: Literal["red", "blue"]'),
        (datetime.datetime, "f: datetime"),
        (datetime.timedelta, "f: duration"),
        (Annotated[int, Field(ge=1)], "f: int"),
        (Annotated[str, "a doc"], "f: str"),
        ("int", "f: int"),
    ],
)
def test_a_field_is_written_as_documented(annotation: Any, expected: str) -> None:
    assert line(annotation) == expected


def test_records_unfold_in_place_and_in_order() -> None:
    class Inner(BaseModel):
        b: int
        a: str = "x"

    @dataclass
    class Outer:
        last: Inner
        first: list[Inner] = field(default_factory=list)

    assert compile_mdl(Outer) == ["last: Dict{b: int, a: str}", "first: List[Dict{b: int, a: str}]"]


def test_a_root_that_is_no_record_is_one_arrow_line() -> None:
    assert compile_mdl(list[int]) == ["-> List[int]"]


@dataclass
class Tree:
    name: str
    children: "list[Tree]"


def test_a_recursive_type_ends_and_is_named() -> None:
    assert compile_mdl(Tree) == [
        "Tree = Dict{name: str, children: List[Tree]}",
        "-> Tree",
    ]


@pytest.mark.parametrize("refused", [Any, None, object, list, dict, tuple, bytes, complex])
def test_what_has_no_shape_is_a_type_error_with_path_and_remedy(refused: Any) -> None:
    record = dataclass(
        type("Record", (), {"__annotations__": {"outer": list[refused] if refused else refused}})
    )
    with pytest.raises(TypeError) as caught:
        compile_mdl(record)
    error = caught.value
    assert isinstance(error, UnsupportedType)
    assert isinstance(error, ConduitError)
    assert error.path.startswith("outer")
    assert error.hint
