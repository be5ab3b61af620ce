"""Laws of the streaming reader, for generated types, values, notations and cuts.

What is shown is a beginning of the value: the first characters of a text, items of a list, members of a record,
and only the last of them unfinished. It only grows, ends as the value, and does not depend on the cuts.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import itertools
import json
import uuid
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from conduit.mdl import StreamParser
from conduit.mdl.partial.incremental import Reader
from conduit.mdl.partial.places import Places
from conduit.mdl.partial.snapshot import MISSING
from conduit.mdl.python.read import read

Case = tuple[Any, Any]  # a type, and a JSON value of it

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from(["a", "b", "key", "other_key", "c3"])
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6),
    bool: st.booleans(),
    Literal["on", "off", 1]: st.sampled_from(["on", "off", 1]),
    Annotated[str, Field(pattern="^x*$")]: st.text("x", max_size=5),
    dt.date: st.dates().map(str),
    uuid.UUID: st.uuids().map(str),
}

# Generated unions are as they come; that they are told apart is not the promise here.
pytestmark = pytest.mark.filterwarnings("ignore::conduit.mdl.AmbiguousUnion")


def _records(inner: list[Case], optional: bool) -> Case:
    names = [f"field_{i}" for i in range(len(inner))]
    fields: list[Any] = [(name, type_) for name, (type_, _) in zip(names, inner, strict=True)]
    if optional:
        fields.append(("left_out", int, dataclasses.field(default=3)))
    record = dataclasses.make_dataclass("Drawn", fields)
    return record, {name: value for name, (_, value) in zip(names, inner, strict=True)}


def _same(case: Case, count: int, more: int) -> Case:
    """A list of a value and values like it, for what shapes repeat in answers."""
    type_, value = case
    return list[type_], [copy.deepcopy(value) for _ in range(count * more)]  # type: ignore[valid-type]


LEAVES = st.sampled_from(list(PLAIN)).flatmap(lambda type_: PLAIN[type_].map(lambda value: (type_, value)))
CASES: st.SearchStrategy[Case] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_same, inner, st.integers(0, 2), st.integers(1, 2)),
        st.builds(lambda case, name: (dict[str, case[0]], {name: case[1]}), inner, NAMES),  # type: ignore[misc]
        st.builds(lambda a, b: (tuple[a[0], b[0]], [a[1], b[1]]), inner, inner),
        st.builds(lambda case, gone: (Optional[case[0]], None if gone else case[1]), inner, st.booleans()),
        st.builds(lambda a, b: (Union[a[0], b[0]], a[1]), inner, inner),
        st.builds(_records, st.lists(inner, min_size=1, max_size=3), st.booleans()),
    ),
    max_leaves=8,
)
NOTATIONS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.none() | st.integers(0, 2),
        "separators": st.sampled_from([(",", ":"), (" , ", " : ")]),
    }
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Any, Any, str, list[str]]:
    """A type, a value of it, its text with what models write around it, and the pieces of that."""
    type_, value = draw(CASES)
    text = json.dumps(value, **draw(NOTATIONS))
    text = draw(st.sampled_from(["", "\n", "<think>I see [1] {2}</think>\n"])) + text
    if isinstance(value, dict | list):
        text = draw(st.sampled_from(["", "Here it is:\n```json\n"])) + text
    text += "\n"
    cuts = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=len(text)))) if len(text) > 1 else []
    return type_, value, text, [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]


def begins(part: Any, whole: Any) -> bool:
    """Whether ``part`` is a beginning of ``whole``."""
    if part is MISSING or part == whole:
        return True
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and _items_begin(part, whole[: len(part)])
    if isinstance(part, dict) and isinstance(whole, dict):
        return list(part) == list(whole)[: len(part)] and _items_begin(
            list(part.values()), list(whole.values())[: len(part)]
        )
    return False


def _items_begin(part: list[Any], whole: list[Any]) -> bool:
    return part[:-1] == whole[:-1] and all(map(begins, part[-1:], whole[-1:]))


def seen(type_: Any, text: str) -> Any:
    """What there is to see after a text that came in one piece."""
    reader = Reader(Places(read(type_)).root)
    reader.feed(text)
    return reader.snapshot().value()


@given(answers())
def test_what_is_shown_is_a_growing_beginning_of_the_value(answer: tuple[Any, Any, str, list[str]]) -> None:
    type_, value, _, pieces = answer
    parser = StreamParser(type_)
    partials = [partial for piece in pieces if (partial := parser.feed(piece)) is not None]
    shown = [MISSING, *(partial.value for partial in partials), value]
    assert all(begins(before, after) for before, after in itertools.pairwise(shown))
    assert all(before != after for before, after in itertools.pairwise(shown[:-1]))
    assert partials
    assert shown[-2] == value


@given(answers())
def test_what_is_shown_does_not_depend_on_the_cuts(answer: tuple[Any, Any, str, list[str]]) -> None:
    type_, _, text, pieces = answer
    parser = StreamParser(type_)
    length = 0
    for piece in pieces:
        parser.feed(piece)
        length += len(piece)
        shown = MISSING if parser.partial is None else parser.partial.value
        assert shown == seen(type_, text[:length])


@given(answers())
def test_the_last_partial_is_data_of_the_value(answer: tuple[Any, Any, str, list[str]]) -> None:
    type_, value, _, _ = answer
    text = json.dumps(value)
    parser = StreamParser(type_)
    parser.feed(text)
    parser.feed("\n")
    assert parser.partial is not None
    again = TypeAdapter(type_).validate_json(json.dumps(parser.partial.value))
    assert parser.finish().value == again


@given(CASES, st.text(st.characters(exclude_categories=["Cs"])), st.integers(0))
def test_damaged_text_is_cut_as_one_likes_too(case: Case, junk: str, at: int) -> None:
    type_, value = case
    text = json.dumps(value)
    at %= len(text) + 1
    text = text[:at] + junk + text[at:]
    parser, shown = StreamParser(type_), [MISSING]
    for sign in text:
        parser.feed(sign)
        shown.append(MISSING if parser.partial is None else parser.partial.value)
    assert all(begins(before, after) for before, after in itertools.pairwise(shown))
    assert shown[-1] == seen(type_, text)
