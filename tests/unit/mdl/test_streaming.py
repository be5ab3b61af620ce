"""What is shown of an answer while it is written: sooner what may grow, never what may turn out otherwise."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import json
import pickle
import typing
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from conduit.errors import OutputInvalid, OutputTruncated, UnsupportedType
from conduit.mdl import AsyncStream, Partial, Stream, StreamParser, astream, stream
from conduit.mdl.form import Anything, Document
from conduit.mdl.partial.incremental import MAX_DEPTH, partial_value
from conduit.mdl.python.read import read


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Line:
    name: str
    price: float = 0.0


@dataclass
class Order:
    topic: Literal["bill", "bills"]
    note: str
    lines: list[Line]
    count: int = 0
    day: dt.date | None = None


@dataclass
class Cat:
    kind: Literal["cat"]
    name: str
    born: str = ""


@dataclass
class Ship:
    kind: Literal["ship"]
    name: str
    born: dt.date
    tons: int = 0


@dataclass
class Tree:
    label: str
    branches: list[Tree] = field(default_factory=list)


class Aliased(BaseModel):
    first: str = Field(alias="firstName")


def shown(type_: Any, text: str) -> Any:
    """What is shown after the text came in one piece; ``...`` when there is nothing."""
    parser = StreamParser(type_)
    parser.feed(text)
    return ... if parser.partial is None else parser.partial.value


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (str, '"Hel', "Hel"),
        (str, '"', ...),
        (str, '""', ""),
        (Order, '{"topic": "bill', ...),
        (Order, '{"topic": "bill"', {"topic": "bill"}),
        (Order, '{"topic": "bill", "note": "', {"topic": "bill"}),
        (Order, '{"topic": "bill", "note": "a', {"topic": "bill", "note": "a"}),
        (Order, '{"note": "", "lines": [', {"note": ""}),
        (Order, '{"note": "", "lines": []', {"note": "", "lines": []}),
        (Order, '{"lines": [{', ...),
        (Order, '{"lines": [{"name": "n"', {"lines": [{"name": "n"}]}),
        (Order, '{"lines": [{"name": "n", "price": 1.', {"lines": [{"name": "n"}]}),
        (Order, '{"lines": [{"name": "n", "price": 1.5}', {"lines": [{"name": "n", "price": 1.5}]}),
        (Order, '{"count": 12', ...),
        (Order, '{"count": 12,', {"count": 12}),
        (Order, '{"count": -', ...),
        (Order, '{"day": "2024-01-0', ...),
        (Order, '{"day": "2024-01-02"', {"day": "2024-01-02"}),
        (Order, '{"day": nul', ...),
        (Order, '{"day": null}', {"day": None}),
        (Size, '"s"', "s"),
        (int, "12", ...),
        (int, "12\n", 12),
        (list[bool], "[true, fals", [True]),
        (list[int], "[1, 2x, 3]", [1]),
        (list[Literal[1, "a"]], "[1, 1, true]", [1, 1]),
        (tuple[int, str], '[1, "o', [1, "o"]),
        (tuple[int, ...], "[1, 2,", [1, 2]),
        (dict[str, int], '{"a": 1, "b": 2', {"a": 1}),
        (dict[str, str], '{"a": "x', {"a": "x"}),
        (dict[Literal["a"], str], '{"b": "x", "a": "y', {"a": "y"}),
        (list[uuid.UUID], '["6ba7b810', ...),
        (list[Decimal], '["1.5", "2', ["1.5"]),
        (list[Decimal], "[1.5, 2", [1.5]),
        (Annotated[str, Field(pattern="^a+$")], '"aa', ...),
        (Annotated[str, Field(pattern="^a+$")], '"aa"', "aa"),
        (str | int, '"1', "1"),
        (str | dt.date, '"2024', ...),
        (str | Size, '"s', ...),
        (str | None, '"o', "o"),
        (list[str] | dict[str, int], '["a', ["a"]),
        (list[str] | dict[str, int], '{"a": 1,', {"a": 1}),
        (Cat | Ship, '{"kind": "cat", "name": "To', {"kind": "cat", "name": "To"}),
        (Cat | Ship, '{"name": "To", "born": "19', {"name": "To"}),
        (Cat | Ship, '{"tons": 9, "born": "1912-04-14"', {"tons": 9, "born": "1912-04-14"}),
        (Aliased, '{"firstName": "A', {"firstName": "A"}),
        (
            Tree,
            '{"label": "a", "branches": [{"label": "b", "branches": [{"label": "c',
            {"label": "a", "branches": [{"label": "b", "branches": [{"label": "c"}]}]},
        ),
    ],
)
def test_a_place_is_shown_as_soon_as_its_type_allows(type_: Any, text: str, value: Any) -> None:
    assert shown(type_, text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"unknown": {"deep": [1, {"x": "}"}]}, "note": "a', {"note": "a"}),
        ('{"note": ["no", "text"], "count": 1,', {"count": 1}),
        ('{"count": "many", "note": "a', {"note": "a"}),
        ('{"count": 1.5, "note": "a', {"note": "a"}),
        ('{"topic": "other", "note": "a', {"note": "a"}),
        ('{"note": null, "count": 2}', {"count": 2}),
        ('{"note": "first", "note": "second', {"note": "first"}),
        ('{"lines": [{"name": "n"}, "m", {"name": "o"}], "count": 1}', {"lines": [{"name": "n"}], "count": 1}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_read_over(text: str, value: Any) -> None:
    assert shown(Order, text) == value


def test_items_beyond_a_tuples_places_are_not_shown() -> None:
    assert shown(tuple[int, int], "[1, 2, 3, 4]") == [1, 2]


@pytest.mark.parametrize(
    "before",
    [
        "\n\n",
        "```json\n",
        "Sure, here is [the] order:\n\n```\n",
        '<think>\nmaybe {"note": "no"}?\n</think>\n',
        '<Think>{"note": "no"} < 1</THINK> <think></think>{nothing} to see: ',
        "<b>Note</b> {} of {braces} and {\"quotes\": 'x'}: ",
        "I <thinks> so: <think>{</think>",
    ],
)  # fmt: skip
def test_thinking_and_prose_before_a_record_are_skipped(before: str) -> None:
    text = before + '{"note": "yes'
    assert shown(Line | Order, text) == {"note": "yes"}


def test_thinking_that_is_not_closed_shows_nothing() -> None:
    assert shown(Order, '<think> {"note": "a"} </thinking> {"note": "b"}') is ...


def test_a_text_stands_first_or_behind_thinking() -> None:
    assert shown(str, '<think>"a"</think> "b') == "b"
    assert shown(str, 'It is "b') is ...


def test_prose_that_starts_like_a_plain_value_is_prose() -> None:
    assert shown(Order | None, 'null and void: {"note": "a') is None
    assert shown(Order | None, 'nobody knows: {"note": "a') == {"note": "a"}
    assert shown(Order | int, '1. The order: {"note": "a') == {"note": "a"}
    assert shown(Order | int, '"The" order: {"note": "a') == {"note": "a"}


@pytest.mark.parametrize("after", ["\n```\nThat is all.", '{"note": "b"}', "]", ', "count": 3}'])
def test_what_follows_the_value_adds_nothing(after: str) -> None:
    parser = StreamParser(Order)
    parser.feed('{"note": "a", "count": 2}')
    assert parser.feed(after) is None
    assert parser.partial == Partial({"note": "a", "count": 2})


@pytest.mark.parametrize(
    "defect",
    ["'b': 1}", '"b" 1}', '"count": 1 "b": 2}', '"count": 1]', '"count": +1, ', '"count": 01,', "b: 1}"],
)
def test_growth_stops_at_the_first_defect(defect: str) -> None:
    parser = StreamParser(Order)
    parser.feed('{"note": "a", ')
    parser.feed(defect)
    kept = parser.partial
    assert parser.feed('"day": null, "count": 5} {"note": "another"}') is None
    assert parser.partial == kept
    assert kept is not None
    assert kept.get("note") == "a"


@pytest.mark.parametrize("text", [r'"a\x', r'"a\u12g', r'"a\udc00', r'"a\ud83dx', r'"a\ud83dA', '"a\ud83d'])
def test_a_broken_escape_is_a_defect(text: str) -> None:
    assert shown(str, text + 'b"') == "a"


def test_line_breaks_in_strings_and_last_commas_are_taken() -> None:
    assert shown(Order, '{"note": "a\n\tb", "lines": [{"name": "n",},],}') == {
        "note": "a\n\tb",
        "lines": [{"name": "n"}],
    }


def test_nesting_grows_to_a_bounded_depth() -> None:
    parser = StreamParser(Tree)
    parser.feed('{"label": "x", "branches": [' * 5_000)
    assert parser.partial is not None
    depth, value = 0, parser.partial.value
    while isinstance(value, dict):
        depth, value = depth + 2, value.get("branches", [None])[0]
    assert depth == MAX_DEPTH
    assert parser.feed('{"label": "deeper') is None


def test_numbers_of_any_length_do_no_harm() -> None:
    assert shown(list[int], f"[1, {'9' * 1_000_000}, 2]") == [1]
    assert shown(list[float], "[1, 1e999, 2]") == [1]


def test_earlier_values_stay_as_they_were() -> None:
    text = json.dumps({"note": "some words", "lines": [{"name": "n", "price": 1}] * 3, "count": 4})
    late, soon = StreamParser(Order), StreamParser(Order)
    kept = [partial for sign in text if (partial := late.feed(sign)) is not None]
    copies, values = [], []
    for sign in text:
        if (partial := soon.feed(sign)) is not None:
            values.append(partial.value)
            copies.append(json.dumps(partial.value))
    assert [json.dumps(value) for value in values] == copies
    assert [json.dumps(partial.value) for partial in reversed(kept)] == copies[::-1]
    assert len(set(copies)) == len(copies)


def test_a_piece_that_shows_nothing_new_gives_none() -> None:
    parser = StreamParser(Order)
    assert [parser.feed(piece) for piece in ("<think>", "x</think>", '{"not', 'e": "')] == [None] * 4
    first = parser.feed("a")
    assert first == Partial({"note": "a"})
    assert parser.feed("") is None
    assert parser.feed('"') is None
    assert parser.partial is first


def test_partials_are_values() -> None:
    parser = StreamParser(Order, attempt=2)
    partial = parser.feed('{"lines": [{"name": "n')
    assert partial is not None
    assert partial == Partial({"lines": [{"name": "n"}]}, attempt=2)
    assert partial != Partial({"lines": [{"name": "n"}]})
    assert partial != {"lines": [{"name": "n"}]}
    assert partial.get("lines", 0, "name") == "n"
    assert partial.get("lines", 1, "name") is None
    assert partial.get("lines", "name", default="-") == "-"
    assert pickle.loads(pickle.dumps(partial)) == partial
    assert repr(partial) == "Partial({'lines': [{'name': 'n'}]}, attempt=2)"
    with pytest.raises(AttributeError):
        partial.value = {}  # type: ignore[misc]
    with pytest.raises(TypeError, match="unhashable"):
        hash(partial)


def test_a_stream_ends_with_the_validated_value() -> None:
    *partials, last = stream(['{"name": "a', 'b", "pri', 'ce": 2}'], Line)
    assert partials == [Partial({"name": "a"}), Partial({"name": "ab"}), Partial({"name": "ab", "price": 2})]
    assert last == Line("ab", 2.0)


def test_an_asynchronous_stream_does_the_same() -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ('{"name": "a', '"}'):
            yield piece

    async def events() -> list[Partial[Line] | Line]:
        return [event async for event in astream(pieces(), Line)]

    assert asyncio.run(events()) == [Partial({"name": "a"}), Line("a")]


def test_a_stream_that_is_no_value_ends_with_the_error_of_parse() -> None:
    events = stream(["I cannot ", "say."], Line)
    with pytest.raises(OutputInvalid):
        list(events)


def test_a_type_that_cannot_be_read_is_refused_before_the_first_piece() -> None:
    with pytest.raises(UnsupportedType):
        StreamParser(typing.cast("type[Any]", Any))


def test_a_truncated_answer_carries_what_was_to_be_seen() -> None:
    parser = StreamParser(Order)
    for sign in '<think>short</think>{"note": "long stor':
        parser.feed(sign)
    with pytest.raises(OutputTruncated) as caught:
        parser.finish(truncated=True)
    assert caught.value.partial == {"note": "long stor"}
    assert pickle.loads(pickle.dumps(caught.value)).partial == {"note": "long stor"}


def test_the_partial_of_a_whole_text_needs_no_type() -> None:
    assert partial_value('{"note": "a', read(Order)) == {"note": "a"}
    assert partial_value("none at all", read(Order)) is None
    assert partial_value('{"a": [1, {"b": "c', Document(Anything())) == {"a": [1, {"b": "c"}]}


def test_streams_can_be_recognised_as_annotations() -> None:
    for alias, origin in ((Stream, Iterator), (AsyncStream, AsyncIterator)):
        annotation = alias[Line]
        assert typing.get_origin(annotation) is origin
        (event,) = typing.get_args(annotation)
        assert typing.get_args(event) == (Partial[Line], Line)


def test_only_so_many_brackets_are_taken_for_a_beginning() -> None:
    answer = '{"note": "a'
    assert shown(Order, "{so} " * 50 + answer) == {"note": "a"}
    assert shown(Order, "{so} " * 500 + answer) is ...


def test_reasoning_is_read_over_and_the_value_grows() -> None:
    parser = StreamParser(int, reasoning=True)
    assert parser.feed('{"reasoning": "Two {and} two') is None
    assert parser.feed('.", "answer": 4') is None
    shown = parser.feed("}")
    assert shown is not None
    assert shown.value == 4
    finished = parser.finish()
    assert (finished.value, finished.reasoning) == (4, "Two {and} two.")
