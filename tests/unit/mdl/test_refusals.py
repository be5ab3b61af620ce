"""Types that MDL cannot express are refused where they stand, with a remedy."""

from __future__ import annotations

import datetime
import enum
import math
import re
import sys
import typing
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import annotated_types
import pydantic
import pytest
import typing_extensions
from pydantic import AliasPath, BaseModel, Field, RootModel

from conduit.errors import UnsupportedType
from conduit.mdl import compile_mdl, json_schema, prompt, render

T = TypeVar("T")


class Deep(BaseModel):
    rows: list[dict[str, Any]]


class Endable(BaseModel):
    name: str


class Inside(BaseModel):
    value: int = Field(validation_alias=AliasPath("a", "b"))


class Spaced(BaseModel):
    value: int = Field(alias="not an identifier")


Dashed = typing_extensions.TypedDict("Dashed", {"a-b": int})


@dataclass
class Unresolved:
    other: Missing  # noqa: F821 - it is missing


class UnresolvedModel(BaseModel):
    other: Missing  # noqa: F821 - it is missing


@dataclass
class Box(Generic[T]):
    value: T


Maybe = typing_extensions.TypeAliasType("Maybe", Optional[T], type_params=(T,))


@dataclass
class Odd:
    value: object = 3


@dataclass
class Defaulted:
    value: int = typing.cast("int", object())


@dataclass
class Infinite:
    value: float = math.inf


@dataclass
class Endless:
    next: Endless


class Even(BaseModel):
    odd: list[EvenMore] = Field(min_length=1)


class EvenMore(BaseModel):
    back: Even | Endless


@dataclass
class Growing(Generic[T]):
    more: Optional[Growing[list[T]]] = None


class Nothing(enum.Enum):
    pass


class Pairs(enum.Enum):
    A = (1, 2)


Self = typing_extensions.TypeAliasType("Self", "Optional[Self]")
First = typing_extensions.TypeAliasType("First", "Second | int")
Second = typing_extensions.TypeAliasType("Second", "First | str")
Lost = typing_extensions.TypeAliasType("Lost", "list[Missing]")  # noqa: F821 - it is missing
Bytes = RootModel[list[bytes]]


@pytest.mark.parametrize(
    ("refused", "path", "words"),
    [
        (Deep, "rows[]{}", "no shape"),
        (dict[float, int], "", "keys"),
        (dict[bool, int], "", "keys"),
        (dict[tuple[int, int], int], "", "keys"),
        (dict[Literal["a", 1], int], "", "keys"),
        (list[bytes], "[]", "not text"),
        (bytearray, "", "not text"),
        (pydantic.SecretBytes, "", "not text"),
        (pydantic.Base64Bytes, "", "not text"),
        (Bytes, "[]", "not text"),
        (Callable[[int], int], "", "cannot be expressed"),
        (Iterator[int], "", "cannot be expressed"),
        (type[int], "", "cannot be expressed"),
        (complex, "", "cannot be expressed"),
        (re.compile("a"), "", "cannot be expressed"),
        (pydantic.ImportString, "", "would run"),
        (list[T], "[]", "no shape"),
        (Box, "value", "no shape"),
        (Box[Any], "value", "no shape"),
        (Odd, "value", "no shape"),
        (Box[Annotated[int, ["unhashable"]]], "", "no hash"),
        (Maybe[Annotated[int, ["unhashable"]]], "", "no hash"),
        (list, "", "bare list"),
        (typing.List, "", "bare list"),
        (typing.Dict, "", "bare dict"),
        (typing.Tuple, "", "bare tuple"),
        (list[set], "[]", "bare set"),
        (typing.Counter, "", "bare Counter"),
        (list["Missing"], "[]", "does not resolve"),  # noqa: F821 - it is missing
        (None, "", "always None"),
        (tuple[int, None], "[1]", "always None"),
        (Inside, "value", "alias that is a path"),
        (Spaced, "value", "identifier"),
        (Dashed, "a-b", "identifier"),
        (Unresolved, "Unresolved", "does not resolve"),
        (UnresolvedModel, "UnresolvedModel", "does not resolve"),
        (list[Unresolved], "[]", "does not resolve"),
        (Lost, "", "does not resolve"),
        (namedtuple("Bare", "a b"), "a", "no annotation"),  # noqa: PYI024 - that is what is refused
        (Defaulted, "value", "default"),
        (Infinite, "value", "default"),
        (Endless, "", "without end"),
        (list[Even], "[]", "without end"),
        (Growing[int], "more.more", "more than 200 different arguments"),
        (Self, "", "only for itself"),
        (list[First], "[]", "only for itself"),
        (Nothing, "", "no members"),
        (Pairs, "", "no JSON scalar"),
        (Annotated[str, Field(ge=3)], "", "does not go with"),
        (Annotated[int, Field(max_length=3)], "", "does not go with"),
        (Annotated[int | str, Field(ge=3)], "", "does not go with"),
        (Annotated[Endable, Field(max_length=3)], "", "does not go with"),
        (Annotated[float, Field(ge=math.inf)], "", "no number"),
        (Annotated[str, Field(pattern=re.compile("a", re.IGNORECASE))], "", "flags"),
        (Annotated[str, Field(pattern="a\\")], "", "lone backslash"),
        (Annotated[str, Field(pattern="\ud800")], "", "cannot be written"),
    ],
)
def test_a_refusal_names_path_problem_and_remedy(refused: Any, path: str, words: str) -> None:
    with pytest.raises(UnsupportedType, match=words) as caught:
        render(refused)
    if path != "more.more":  # the depth at which it is noticed is nobody's business
        assert caught.value.path == path
    assert caught.value.hint
    assert "Hint: " in str(caught.value)


def nested(levels: int) -> Any:
    type_: Any = int
    for _ in range(levels):
        type_ = list[type_]
    return type_


@pytest.mark.parametrize("write", [render, compile_mdl, json_schema])
def test_deep_nesting_is_refused_before_it_exhausts_the_stack(write: Callable[[Any], Any]) -> None:
    write(nested(45))
    with pytest.raises(UnsupportedType, match="48 levels"):
        write(nested(500))
    with pytest.raises(UnsupportedType, match=r"nested too deeply|48 levels"):
        write(make_dataclass("Deep", [("value", nested(500))]))


def test_what_is_too_large_to_unfold_is_refused_by_the_seed_form_alone() -> None:
    record: Any = make_dataclass("R0", [("a", int), ("b", int)])
    for number in range(1, 41):
        record = make_dataclass(f"R{number}", [("a", record), ("b", record)])
    assert len(render(record)) < 2_000
    with pytest.raises(UnsupportedType, match="too large to be unfolded"):
        compile_mdl(record)


def untyped_parameter(x) -> int: ...


def no_return(x: int): ...


def none_return(x: int) -> None: ...


def many(*args: int) -> int: ...


def deep_return() -> list[dict[str, Any]]: ...


def deep_parameter(a: int, rows: list[Deep]) -> int: ...


@pytest.mark.parametrize(
    ("function", "path"),
    [
        (untyped_parameter, "x"),
        (no_return, "return"),
        (none_return, "return"),
        (many, "args"),
        (deep_return, "return[]{}"),
        (deep_parameter, "rows[].rows[]{}"),
        (Deep, ""),
    ],
)
def test_a_function_without_types_is_refused(function: Callable[..., Any], path: str) -> None:
    with pytest.raises(UnsupportedType) as caught:
        prompt(function)
    assert caught.value.path == path


def test_two_fields_of_one_name_are_refused() -> None:
    class Twice(BaseModel):
        a: int = Field(alias="b")
        b: Union[int, str]

    with pytest.raises(UnsupportedType, match="name b twice"):
        render(Twice)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes these from Python 3.12 on")
def test_a_type_that_cannot_be_validated_is_refused_before_a_model_is_asked() -> None:
    Part = typing.TypedDict("Part", {"a": int})
    with pytest.raises(UnsupportedType, match="typing_extensions"):
        prompt(output=list[Part])

    class Deferred(BaseModel):
        model_config = pydantic.ConfigDict(defer_build=True)
        part: Part  # type: ignore[valid-type]  # a type made at run time

    with pytest.raises(UnsupportedType, match="typing_extensions"):
        render(Deferred)


def test_a_field_that_pydantic_does_not_know_is_refused_by_its_path() -> None:
    class Foreign:
        pass

    class Deferred(BaseModel):
        model_config = pydantic.ConfigDict(defer_build=True)
        inside: list[Foreign]

    with pytest.raises(UnsupportedType) as caught:
        render(Deferred)
    assert caught.value.path == "inside[]"


@pytest.mark.parametrize(
    "type_",
    [
        Annotated[Literal["a", "b"], Field(min_length=0)],
        Annotated[str, annotated_types.MinLen(-1)],
        Annotated[str, annotated_types.MaxLen("many")],
        Annotated[int, annotated_types.Ge("one")],
        Annotated[datetime.date, annotated_types.MultipleOf(2)],
    ],
)
def test_a_constraint_that_pydantic_would_stumble_on_is_refused(type_: Any) -> None:
    with pytest.raises(UnsupportedType, match="constraint"):
        render(type_)
