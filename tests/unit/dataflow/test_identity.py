"""What makes two calls the same: identity, keys, and results as they are kept."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from conduit import LMLite, ModelConfig, errors
from conduit.dataflow import block, identity


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass
class Ticket:
    text: str
    tags: set[str]
    at: datetime | None = None


class Page(BaseModel):
    number: int = Field(alias="pageNumber")
    lines: tuple[str, ...] = ()


def key(called: Any, *args: Any, **kwargs: Any) -> str:
    return identity.call_key(called, args, kwargs)


def taking(annotation: Any, returning: Any = None) -> Any:
    def taken(value):
        return value

    taken.__annotations__ = {"value": annotation, "return": returning or annotation}
    return block(taken)


@pytest.mark.parametrize(
    ("annotation", "same"),
    [
        (int, [1, True, 1.0, "1"]),
        (float, [1, True, 1.0]),
        (dict[str, int], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        (set[str], [{"a", "b", "c"}, ["c", "b", "a"]]),
        (list[int], [[1, 2], (1, 2)]),
        (Color, [Color.RED, "red"]),
        (date, [date(2026, 1, 2), "2026-01-02"]),
        (Ticket, [Ticket("a", {"x", "y"}), {"text": "a", "tags": ["y", "x"], "at": None}]),
        (Page, [Page(pageNumber=1), {"pageNumber": 1, "lines": []}]),
        (Path, [Path("a/b"), "a/b"]),
    ],
    ids=lambda value: getattr(
        value, "__name__", type(value).__name__
    ),  # the order of a set is not the same twice
)
def test_arguments_that_validate_to_the_same_are_the_same_call(annotation, same):
    called = taking(annotation)
    assert len({key(called, each) for each in same}) == 1


@pytest.mark.parametrize(
    ("annotation", "others"),
    [
        (Any, [1, True, 1.0, "1", None, [1], {"1": 1}, "", [], {}]),
        (int | float | bool | str, [1, True, 1.0, "1", "true"]),
        (float, [0.1, 0.1 + 0.2 - 0.2, float("nan"), float("inf"), -0.0, 0.0]),
        (tuple[str, ...], [("a", "b"), ("b", "a"), ("ab",), ("a,b",)]),
        (bytes, [b"\xff\x00", b"", b"/wA="]),
        (datetime, [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 12)]),
        (Page, [Page(pageNumber=1), Page(pageNumber=1, lines=("",))]),
    ],
    ids=lambda value: getattr(
        value, "__name__", type(value).__name__
    ),  # the order of a set is not the same twice
)
def test_arguments_that_differ_are_other_calls(annotation, others):
    called = taking(annotation)
    assert len({key(called, each) for each in others}) == len(others)


def test_the_way_an_argument_is_given_does_not_count_but_its_place_does():
    @block
    def two(first: str, second: str = "b", *rest: str, third: int = 3, **more: int) -> None: ...

    assert (
        len({key(two, "a"), key(two, "a", "b"), key(two, second="b", first="a"), key(two, "a", third=3)}) == 1
    )
    others = [("a", "b", "c"), ("b", "a"), ("a", "bc")]
    assert len({key(two, *args) for args in others} | {key(two, "a", x=1), key(two, "a", y=1)}) == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_plain_json_is_kept_and_comes_back_as_it_was(value):
    called = taking(Any)
    back = identity.load(called, identity.dump(called, value))
    assert repr(back) == repr(value)  # equal in type, and dictionaries in their order


@given(json_values, json_values)
def test_keys_are_equal_just_where_canonical_json_is(one, other):
    called = taking(Any)
    written = [json.dumps(value, sort_keys=True) for value in (one, other)]
    assert (key(called, one) == key(called, other)) == (written[0] == written[1])


tickets = st.builds(
    Ticket, st.text(), st.sets(st.text()), st.none() | st.datetimes(timezones=st.just(UTC)) | st.datetimes()
)


@given(
    st.lists(tickets, max_size=3),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.sets(st.tuples(st.integers())),
)
def test_typed_values_come_back_as_they_were(listed, decimal, uuid, tuples):
    returned = dict[str, tuple[list[Ticket], Decimal, UUID, set[tuple[int]], Color, Literal[1]]]
    called = taking(returned)
    value = {"all": (listed, decimal, uuid, tuples, Color.BLUE, 1)}
    assert identity.load(called, identity.dump(called, value)) == value


@dataclass
class Narrow(Ticket):
    more: int = 0


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, (1, 2)),
        (Any, {1: 2}),
        (Any, Color.RED),
        (Any, Level.LOW),
        (Any, date(2026, 1, 1)),
        (str | date, date(2026, 1, 1)),
        (Ticket, Narrow("a", set())),
        (SecretStr, SecretStr("do not keep")),
        (datetime, datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
        (object, object()),
        (str, "\ud800"),
        (Callable, len),
        (list[Any], [1, [object()]]),
    ],
)
def test_what_would_not_be_read_back_equal_is_refused_by_name(annotation, value):
    called = taking(annotation)
    with pytest.raises(errors.NotCacheable) as refused:
        key(called, value)
    assert (refused.value.block, refused.value.what) == ("taken", "its argument 'value'")
    assert "do not keep" not in str(refused.value)
    with pytest.raises(errors.NotCacheable, match="its result"):
        identity.dump(called, value)


def test_what_can_be_gone_through_once_is_refused_and_left_whole():
    called = taking(list[int])
    items = iter([1, 2])
    with pytest.raises(errors.NotCacheable, match="once only"):
        key(called, items)
    assert list(items) == [1, 2]


def test_arguments_that_do_not_fit_are_the_callers_fault():
    with pytest.raises(errors.BlockInputError):
        key(taking(int), "many")


def test_a_refusal_travels():
    import pickle

    with pytest.raises(errors.NotCacheable) as refused:
        key(taking(object), object())
    # Where Dask is loaded, pickles take an error's causes along.
    assert refused.value.__cause__.__cause__ is refused.value.__cause__.__context__ is None
    copy = pickle.loads(pickle.dumps(refused.value))
    assert (copy.code, copy.what, copy.type_name) == ("block.not_cacheable", "its argument 'value'", "object")


def test_a_generators_result_is_the_list_of_its_items():
    @block
    def pages(count: int) -> Iterator[Page]:
        yield from ()

    value = [Page(pageNumber=1), Page(pageNumber=2)]
    assert identity.load(pages, identity.dump(pages, value)) == value


def versions(*texts: str) -> list[str]:
    found = []
    for text in texts:
        names: dict[str, Any] = {"block": block}
        exec(text, names)
        found.append(identity.identity(names["f"]).version)
    return found


SOURCE = "@block\ndef f(a: int) -> int:\n    return a in {1, 'b', (2, 'c')}\n"


def test_the_version_follows_the_code_and_nothing_else():
    one, moved, commented = versions(SOURCE, "\n\n" + SOURCE, SOURCE.replace("return", "# why\n    return"))
    assert one == moved == commented
    changed = versions(
        SOURCE.replace("1", "3"),
        SOURCE.replace("a in", "a not in"),
        SOURCE.replace("a: int", "a: float"),
        SOURCE.replace("-> int", "-> bool"),
        SOURCE.replace("\n    return", "\n    'Says what it is.'\n    return"),
        SOURCE.replace("return a", "return (lambda: 1)() + a"),
        SOURCE.replace("return a", "return (lambda: 2)() + a"),
    )
    assert len({one, *changed}) == len(changed) + 1


def test_a_version_of_ones_own_stands_for_the_source():
    first, second = versions("@block(version='1')\ndef f(): ...", "@block(version='1')\ndef f(): return 1")
    assert first == second == "1"


def test_what_a_function_took_from_the_one_around_it_is_part_of_it():
    def made(factor: Any) -> Any:
        @block
        def times(number: int) -> int:
            return number * factor

        return times

    def add(number: int) -> int:
        return number

    keys = {key(made(each), 1) for each in (2, 3, 2.0, "2", add, int)}
    assert len(keys) == 6
    assert key(made(2), 1) == key(made(2), 1)
    assert key(made(add), 1) == key(made(block(add)), 1)
    with pytest.raises(errors.NotCacheable, match="'factor' of the function around it"):
        key(made(object()), 1)
    assert key(made(object()).with_options(version="1"), 1)


def test_a_value_around_it_that_changes_is_seen():
    count = 0

    @block
    def counting(number: int) -> int:
        return number + count

    before = key(counting, 1)
    count = 5
    assert key(counting, 1) != before


def test_the_result_type_is_part_of_it():
    def made(returned: Any) -> Any:
        return taking(int, returned)

    found = [identity.identity(made(each)).schema_hash for each in (int, str, Ticket, Page)]
    assert len(set(found)) == 4
    assert None not in found
    assert identity.identity(taking(int, Any)).schema_hash is None


@dataclass
class Desk:
    name: str

    @block
    def take(self, number: int) -> str:
        return self.name * number

    @classmethod
    @block
    def of(cls, number: int) -> str:
        return cls.__name__ * number


class Plain:
    @block
    def take(self, number: int) -> int:
        return number


def test_a_methods_object_is_an_argument():
    def of(bound: Any) -> str:
        return identity.call_key(bound, (*bound.bound, 1), {})

    assert of(Desk("a").take) == of(Desk("a").take) != of(Desk("b").take)
    with pytest.raises(errors.NotCacheable, match="its argument 'self', a Plain"):
        of(Plain().take)


def test_a_callable_object_needs_a_version():
    class Adder:
        def __call__(self, number: int) -> int:
            return number

    with pytest.raises(errors.NotCacheable, match="Adder has no source"):
        key(block(Adder()), 1)


def model_identity(lm: LMLite, doc: str = "Sort it.", **options: Any) -> identity.Identity:
    def triage(text: str) -> Ticket: ...

    triage.__doc__ = doc
    return identity.identity(lm.block(**options)(triage))


def test_all_that_decides_a_models_answer_is_part_of_it(monkeypatch):
    lm = LMLite("conduit/tiny")
    plain = model_identity(lm)
    assert plain == model_identity(lm)
    assert (plain.model_id, plain.engine) == ("conduit/tiny", "mistralrs")
    assert plain.revision
    assert plain.schema_hash
    assert plain.sampling is not None
    assert plain.sampling["temperature"] == 0.0
    both = LMLite(["conduit/tiny", "owner/other"])
    monkeypatch.setenv("CONDUIT_MODEL_ALIASES", '{"conduit/tiny": "owner/another"}')
    others = [
        model_identity(lm, doc="Sort it well."),
        model_identity(lm, temperature=0.5),
        model_identity(lm, seed=1),
        model_identity(lm, examples=[({"text": "a"}, Ticket("a", set()))]),
        model_identity(lm, reasoning=True),
        model_identity(both, model_id="owner/other"),
        model_identity(LMLite(ModelConfig("owner/other", revision="abc"))),
        model_identity(LMLite(ModelConfig("owner/other", quantization="Q4K"))),
        model_identity(LMLite(ModelConfig("owner/other", engine="openai", url="http://127.0.0.1:1/v1"))),
        model_identity(LMLite(ModelConfig("owner/other", engine="vllm"))),
        model_identity(LMLite("conduit/tiny")),
    ]
    assert len({json.dumps(dataclasses.asdict(each)) for each in [plain, *others]}) == len(others) + 1


PROGRAM = """
from dataclasses import dataclass
from conduit import LMLite, block
from conduit.dataflow import identity

@dataclass
class Tag:
    names: frozenset[str]

lm = LMLite("conduit/tiny")

@block
def count(tags: set[str], nested: list[frozenset[str]], tag: Tag) -> bool:
    return "a" in {"x", "y", "z", "a"}

@lm.block
def triage(text: str) -> Tag:
    "Sort it."

words = {"alpha", "beta", "gamma", "delta"}
print(identity.block_name(count))
print(identity.call_key(count, (words, [frozenset(words)], Tag(frozenset(words))), {}))
print(identity.dump(count.with_options(version="2"), True), identity.dump(triage, Tag(frozenset(words))))
print(identity.call_key(triage, ("a",), {}))
"""


def test_another_process_with_other_hashes_finds_the_same_keys(tmp_path):
    program = tmp_path / "counting.py"
    program.write_text(PROGRAM)
    said = [
        subprocess.run(
            [sys.executable, str(program)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert said[0].splitlines()[0] == "counting:count"
    assert len(said[0].splitlines()) == 4
    assert said[0] == said[1] == said[2]
    # Imported as a module it is the same block.
    imported = subprocess.run(
        [sys.executable, "-c", "import counting"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert imported == said[0]


def test_a_block_that_came_without_its_file_is_the_same():
    import cloudpickle

    @block
    def local(number: int) -> int:
        return number + 1

    payload = cloudpickle.dumps(local)
    program = (
        "import sys, pickle; from conduit.dataflow import identity; "
        "print(identity.call_key(pickle.load(sys.stdin.buffer), (1,), {}))"
    )
    moved = subprocess.run([sys.executable, "-c", program], input=payload, capture_output=True, check=False)
    assert moved.stdout.decode().strip() == key(local, 1), moved.stderr.decode()
