"""Types that MDL cannot express are refused where they stand, with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import AliasChoices, BaseModel, Field

from conduit.errors import UnsupportedType
from conduit.mdl import prompt, render

T = TypeVar("T")


class Deep(BaseModel):
    rows: list[dict[str, Any]]


class Aliased(BaseModel):
    value: int = Field(validation_alias=AliasChoices("a", "b"))


class Spaced(BaseModel):
    value: int = Field(alias="not an identifier")


@dataclass
class Unresolved:
    other: Missing  # noqa: F821


@pytest.mark.parametrize(
    ("refused", "path", "words"),
    [
        (Deep, "rows[]{}", "no shape"),
        (dict[float, int], "", "keys"),
        (list[bytes], "[]", "not text"),
        (Callable[[int], int], "", "cannot be expressed"),
        (list[T], "[]", "no shape"),
        (Aliased, "value", "aliases"),
        (Spaced, "value", "identifier"),
        (Unresolved, "Unresolved", "does not resolve"),
        (Annotated[str, Field(ge=3)], "", "does not go with"),
        (Annotated[int, Field(max_length=3)], "", "does not go with"),
    ],
)
def test_a_refusal_names_path_problem_and_remedy(refused: Any, path: str, words: str) -> None:
    with pytest.raises(UnsupportedType, match=words) as caught:
        render(refused)
    assert caught.value.path == path
    assert caught.value.hint
    assert "Hint: " in str(caught.value)


def untyped_parameter(x) -> int: ...


def no_return(x: int): ...


def none_return(x: int) -> None: ...


def many(*args: int) -> int: ...


@pytest.mark.parametrize(
    ("function", "path"),
    [(untyped_parameter, "x"), (no_return, "return"), (none_return, "return"), (many, "args")],
)
def test_a_function_without_types_is_refused(function: Callable[..., Any], path: str) -> None:
    with pytest.raises(UnsupportedType) as caught:
        prompt(function)
    assert caught.value.path == path
