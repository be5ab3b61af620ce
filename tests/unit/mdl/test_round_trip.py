"""The text of a type says all of its form: reading it back gives the same form, whatever the type."""

import dataclasses
import json
import warnings
from typing import Annotated, Any

from hypothesis import given, settings

from conduit import mdl
from conduit.errors import UnsupportedType
from conduit.mdl.python.read import read
from support.generated_types import types

EXAMPLES = 450


def strict(value: Any) -> str:
    """All that takes part in a form's equality, with 1, 1.0 and true told apart."""
    if dataclasses.is_dataclass(value):
        kept = [field.name for field in dataclasses.fields(value) if field.compare]
        return f"{type(value).__name__}({', '.join(strict(getattr(value, name)) for name in kept)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(strict, value))})"
    return json.dumps(value)


def check(type_: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mdl.AmbiguousUnion)
        document = read(type_)
        text = mdl.render(type_)
    again = mdl.from_text(text)
    assert again == document
    assert strict(again) == strict(document)
    assert mdl.render(again) == text


@settings(max_examples=EXAMPLES)
@given(types("dataclass"))
def test_dataclasses_come_back(type_: Any) -> None:
    check(type_)


@settings(max_examples=EXAMPLES)
@given(types("model"))
def test_models_come_back(type_: Any) -> None:
    check(type_)


@settings(max_examples=EXAMPLES)
@given(types("typed dict", "named tuple"))
def test_typed_dicts_and_named_tuples_come_back(type_: Any) -> None:
    check(type_)


@settings(max_examples=EXAMPLES)
@given(types("alias", "dataclass", "typed dict"))
def test_aliases_come_back(type_: Any) -> None:
    check(type_)


@settings(max_examples=EXAMPLES)
@given(types("dataclass", "model", "typed dict", "named tuple", "alias", depth=5))
def test_mixed_types_come_back(type_: Any) -> None:
    check(type_)


def test_the_deepest_type_that_is_taken_comes_back() -> None:
    @dataclasses.dataclass
    class Bottom:
        value: Annotated[list[list[list[list[list[int]]]]], "a doc"]

    def deep(levels: int) -> Any:
        type_: Any = Bottom
        for _ in range(levels):
            type_ = list[type_] | str | None
        return type_

    deepest = max(level for level in range(60) if not refused(deep(level)))
    assert deepest > 20
    check(deep(deepest))


def refused(type_: Any) -> bool:
    try:
        read(type_)
    except UnsupportedType:
        return True
    return False
