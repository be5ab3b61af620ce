"""The law of an edge: what is said never to fit does not pass pydantic, and a type fits itself."""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, Union

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from conduit.dataflow.check import scalars
from conduit.dataflow.check.fits import Fit, judge
from support import generated_types

NEVER, SOME, ALWAYS = Fit.NEVER, Fit.SOME, Fit.ALWAYS


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Ticket:
    topic: str
    order: int | None = None


@dataclass
class Order:
    number: int
    lines: list[str]


class Model(pydantic.BaseModel):
    topic: str


class Special(Model):
    more: int = 0


class Lax(pydantic.BaseModel):
    topic: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def read(cls, given: Any) -> Any:
        return {"topic": str(given)}


class Row(TypedDict):
    topic: str
    order: int


class Pair(NamedTuple):
    left: str
    right: int


Sku = NewType("Sku", str)

TABLE: list[tuple[Any, Any, Fit]] = [
    (int, str, NEVER),
    (int, float, ALWAYS),
    (float, int, SOME),
    (str, int, SOME),
    (str, bytes, ALWAYS),
    (bytes, str, SOME),
    (str, pathlib.Path, ALWAYS),
    (pathlib.Path, str, NEVER),
    (pathlib.Path, Union[str, pathlib.Path], ALWAYS),
    (datetime.date, str, NEVER),
    (str, datetime.date, SOME),
    (int, decimal.Decimal, ALWAYS),
    (Sku, str, ALWAYS),
    (str, Sku, ALWAYS),
    (str, Colour, SOME),
    (Colour, str, ALWAYS),
    (Ticket, Colour, NEVER),
    (Literal["red"], Colour, ALWAYS),
    (Literal["green"], Colour, NEVER),
    (int, Literal["a"], NEVER),
    (str, Literal["a"], SOME),
    (Literal["7"], int, ALWAYS),
    (Literal["seven"], int, NEVER),
    (Literal[7], Annotated[int, pydantic.Field(gt=9)], NEVER),
    (int, Annotated[int, pydantic.Field(gt=9)], ALWAYS),
    (Ticket, Ticket, ALWAYS),
    (Ticket, Order, NEVER),
    (Ticket, str, NEVER),
    (Ticket, dict[str, Any], NEVER),
    (Ticket, Model, NEVER),
    (Ticket, Lax, ALWAYS),
    (str, Lax, ALWAYS),
    (Special, Model, ALWAYS),
    (Model, Special, SOME),
    (Row, Ticket, ALWAYS),
    (Row, Order, NEVER),
    (Row, dict[str, Any], ALWAYS),
    (Row, dict[str, list[int]], NEVER),
    (dict[str, Any], Ticket, ALWAYS),
    (dict[str, list[int]], Order, NEVER),
    (str, Ticket, NEVER),
    (Optional[Ticket], Ticket, SOME),
    (type(None), Ticket, NEVER),
    (Ticket, Optional[Ticket], ALWAYS),
    (Union[Ticket, Order], Ticket, SOME),
    (Union[int, float], Ticket, NEVER),
    (list[Ticket], list[Order], NEVER),
    (list[Ticket], Ticket, NEVER),
    (Ticket, list[Ticket], NEVER),
    (list[Optional[str]], list[str], SOME),
    (tuple[str, ...], list[str], ALWAYS),
    (set[str], list[str], ALWAYS),
    (dict[str, int], list[str], NEVER),
    (str, list[str], NEVER),
    (str, Sequence[str], NEVER),
    (list[str], Sequence[str], ALWAYS),
    (list[int], Iterable[Ticket], NEVER),
    (tuple[str, int], tuple[str, int], ALWAYS),
    (tuple[str, int], tuple[str, int, int], NEVER),
    (Pair, tuple[str, int], ALWAYS),
    (dict[str, int], Mapping[str, float], ALWAYS),
    (dict[str, Ticket], Mapping[str, int], NEVER),
    (Generator[int, None, None], list[int], ALWAYS),
    (Generator[Ticket, None, None], list[int], NEVER),
    (Coroutine[Any, Any, str], str, NEVER),
    (Any, Ticket, ALWAYS),
    (list[Any], list[Ticket], ALWAYS),
    (Ticket, Any, ALWAYS),
    (Ticket, Callable[..., Any], ALWAYS),
]


@pytest.mark.parametrize(("giver", "taker", "fit"), TABLE, ids=lambda part: str(part)[-40:])
def test_the_table_of_conversions(giver, taker, fit):
    assert judge(giver, taker).fit is fit


SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text(max_size=8) | st.sampled_from(scalars._TEXTS) | st.integers().map(str)),
    (int, st.integers(-(10**12), 10**12)),
    (float, st.floats(allow_nan=False)),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=17) | st.sampled_from(scalars.SAMPLES[bytes])),
    (type(None), st.none()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3)),
    (datetime.datetime, st.datetimes()),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (pathlib.Path, st.text("ab/.", min_size=1, max_size=5).map(pathlib.Path)),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Literal["a", "7", 7], st.sampled_from(["a", "7", 7])),
    (Ticket, st.builds(Ticket)),
    (Order, st.builds(Order)),
    (Model, st.builds(Model)),
    (Special, st.builds(Special)),
    (Lax, st.just(Lax(topic="a"))),
    (Row, st.fixed_dictionaries({"topic": st.text(max_size=3), "order": st.integers()})),
    (Pair, st.builds(Pair)),
    (pydantic.HttpUrl, st.just(pydantic.HttpUrl("https://example.org"))),
    (pydantic.SecretStr, st.text(max_size=3).map(pydantic.SecretStr)),
]  # fmt: skip
Typed = tuple[Any, st.SearchStrategy[Any]]


def _hashable(typed: Typed) -> bool:
    return typed[0] in (str, int, bytes, uuid.UUID, datetime.date, pathlib.Path)


def _wider(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    """Collections with something in them, and unions."""
    flat = st.sampled_from([typed for typed in SCALARS if _hashable(typed)])
    return st.one_of(
        inner.map(lambda t: (list[t[0]], st.lists(t[1], min_size=1, max_size=3))),
        inner.map(lambda t: (Sequence[t[0]], st.lists(t[1], min_size=1, max_size=3))),
        inner.map(lambda t: (tuple[t[0], ...], st.lists(t[1], min_size=1, max_size=3).map(tuple))),
        flat.map(lambda t: (set[t[0]], st.sets(t[1], min_size=1, max_size=3))),
        flat.map(lambda t: (frozenset[t[0]], st.frozensets(t[1], min_size=1, max_size=3))),
        st.tuples(flat, inner).map(
            lambda p: (dict[p[0][0], p[1][0]], st.dictionaries(p[0][1], p[1][1], min_size=1, max_size=2))
        ),
        st.tuples(inner, inner).map(lambda p: (tuple[p[0][0], p[1][0]], st.tuples(p[0][1], p[1][1]))),
        st.tuples(inner, inner).map(lambda p: (Union[p[0][0], p[1][0]], p[0][1] | p[1][1])),
        inner.map(lambda t: (Annotated[t[0], "a note"], t[1])),
    )


typed = st.recursive(st.sampled_from(SCALARS), _wider, max_leaves=4)


@given(typed, typed, st.data())
def test_what_never_fits_does_not_pass(giver, taker, data):
    judged = judge(giver[0], taker[0])
    if judged.fit is not NEVER:
        return
    value = data.draw(giver[1])
    assert scalars.passes(value, taker[0]) is not True, f"{value!r} of {giver[0]} passes as {taker[0]}"


@given(typed, st.data())
def test_a_value_of_a_type_is_never_refused_by_its_own(own, data):
    value = data.draw(own[1])
    assert judge(own[0], own[0]).fit is ALWAYS
    assert judge(own[0], Union[own[0], Ticket]).fit is ALWAYS
    assert judge(Union[own[0], Order], own[0]).fit is not NEVER
    assert judge(list[own[0]], list[own[0]]).fit is ALWAYS
    assert scalars.passes(value, own[0]) is not False


@given(generated_types.types("dataclass", "model", "typed dict", "named tuple", "alias"))
def test_every_type_fits_itself(source):
    assert judge(source, source).fit is ALWAYS
    assert judge(list[source], Sequence[source]).fit is ALWAYS


@given(generated_types.types("dataclass", "model", "typed dict", "named tuple"), typed, st.data())
def test_no_type_out_of_the_hat_breaks_the_law(taker, giver, data):
    if judge(giver[0], taker).fit is not NEVER:
        return
    assert scalars.passes(data.draw(giver[1]), taker) is not True
