"""A block's call: its forms, and what it validates."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from conduit.dataflow import block
from conduit.errors import BlockDefinitionError, BlockInputError, BlockOutputError


@dataclass
class Order:
    number: int
    note: str = ""


class Address(BaseModel):
    city: str


class Row(TypedDict):
    name: str


Share = Annotated[float, Field(ge=0, le=1)]


@block
def total(orders: list[Order], share: Share = 1.0) -> float:
    return sum(order.number for order in orders) * share


@block
async def shout(text: str) -> str:
    return text.upper()


@block
def count(to: int) -> Iterator[int]:
    yield from range(to)


@block
async def acount(to: int) -> AsyncIterator[int]:
    for number in range(to):
        yield number


class Desk:
    limit = 3

    def __init__(self, name: str) -> None:
        self.name = name

    @block
    def take(self, number: int) -> str:
        return f"{self.name}{number}"

    @block
    async def answer(self, number: int) -> str:
        return f"{self.name}{number}"

    @block
    def pages(self, to: int) -> Iterator[str]:
        yield from (self.name for _ in range(to))

    @block
    @classmethod
    def bound(cls, number: int) -> int:
        return min(number, cls.limit)

    @staticmethod
    @block
    def double(number: int) -> int:
        return number * 2

    @block
    @staticmethod
    def triple(number: int) -> int:
        return number * 3


class StrictDesk(Desk):
    limit = 1


async def drained(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def test_a_function_block_returns_what_the_function_returns() -> None:
    assert total([Order(2), Order(3)], share=0.5) == 2.5


def test_an_async_block_is_awaited() -> None:
    assert asyncio.run(shout("a")) == "A"


def test_a_generator_block_yields_lazily() -> None:
    seen = []

    @block
    def numbers() -> Iterator[int]:
        for number in range(3):
            seen.append(number)
            yield number

    assert next(iter(numbers())) == 0
    assert seen == [0]
    assert list(numbers()) == [0, 1, 2]


def test_an_async_generator_block_yields() -> None:
    assert asyncio.run(drained(acount(3))) == [0, 1, 2]


def test_a_generators_return_value_is_kept_and_validated() -> None:
    @block
    def steps(result: Any) -> Generator[int, None, str]:
        yield 1
        return result

    def delegating(result: Any) -> Generator[int, None, Any]:
        return (yield from steps(result))

    run = delegating("end")
    assert next(run) == 1
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value == "end"
    with pytest.raises(BlockOutputError, match="string"):
        list(steps(5))


def test_closing_a_generator_block_closes_the_function() -> None:
    closed = []

    @block
    def numbers() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    items = numbers()
    next(items)
    items.close()
    assert closed == [True]


def test_a_function_that_returns_an_iterator_is_a_generator_block() -> None:
    @block
    def letters(text: str) -> Iterator[str]:
        return iter(text)

    assert list(letters("ab")) == ["a", "b"]
    assert letters.submit("ab").result() == ["a", "b"]


def test_methods_class_methods_and_static_methods_are_blocks() -> None:
    desk = Desk("d")
    assert desk.take(1) == "d1"
    assert Desk.take(desk, 1) == "d1"
    assert asyncio.run(desk.answer(1)) == "d1"
    assert list(desk.pages(2)) == ["d", "d"]
    assert desk.take.map([1, 2]) == ["d1", "d2"]
    assert desk.take.with_options(retries=1)(4) == "d4"
    assert (Desk.bound(9), StrictDesk.bound(9), Desk("x").bound(9)) == (3, 1, 3)
    assert (Desk.double(2), Desk.triple(2)) == (4, 6)


def test_two_instances_do_not_share_a_bound_block() -> None:
    first, second = Desk("a").take, Desk("b").take
    assert (first(1), second(1)) == ("a1", "b1")
    desk = Desk("c")
    assert desk.take == desk.take
    assert desk.take != Desk("c").take


def test_values_are_validated_as_the_signature_says() -> None:
    @block
    def both(address: Address, row: Row) -> Row:
        return {"name": address.city + row["name"]}

    assert both({"city": "A"}, {"name": "b"}) == {"name": "Ab"}
    assert total([{"number": "2"}]) == 2


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        (([Order(1)], 1.5), "share"),
        (([{"number": "x"}],), "orders"),
        ((3,), "orders"),
        ((), "orders"),
        (([], 1.0, "extra"), "2"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(arguments: tuple[Any, ...], parameter: str) -> None:
    with pytest.raises(BlockInputError) as refused:
        total(*arguments)
    assert refused.value.parameter == parameter
    assert refused.value.block == "total"
    assert refused.value.hint is not None
    assert "total(" in refused.value.hint


def test_a_refusal_names_path_value_and_type() -> None:
    with pytest.raises(BlockInputError, match=r"orders\[1\]\.number: .*integer.*'x', str"):
        total([Order(1), {"number": "x"}])


def test_every_form_refuses_a_wrong_argument() -> None:
    for call in (
        lambda: total("x"),
        lambda: asyncio.run(shout(1)),
        lambda: count("x"),
        lambda: acount("x"),
        lambda: Desk("d").take("x"),
    ):
        with pytest.raises(BlockInputError):
            call()


def test_every_form_refuses_a_wrong_result() -> None:
    @block
    def function() -> Order:
        return "x"

    @block
    async def coroutine() -> Order:
        return "x"

    @block
    def generator() -> Iterator[Order]:
        yield "x"

    @block
    async def async_generator() -> AsyncIterator[Order]:
        yield "x"

    for call in (
        function,
        lambda: asyncio.run(coroutine()),
        lambda: list(generator()),
        lambda: asyncio.run(drained(async_generator())),
    ):
        with pytest.raises(BlockOutputError, match=r"Order.*'x', str") as refused:
            call()
        assert refused.value.hint


def test_an_error_of_the_function_passes_as_it_is() -> None:
    @block
    def fails(kind: str) -> int:
        if kind == "pydantic":
            Address(city=3)
        raise KeyError(kind)

    with pytest.raises(KeyError):
        fails("key")
    # A validation error that the function meets is not one of its arguments.
    with pytest.raises(ValueError, match="city") as error:
        fails("pydantic")
    assert not isinstance(error.value, BlockInputError)


def test_the_function_is_not_run_with_wrong_arguments() -> None:
    ran = []

    @block
    def effect(number: int) -> None:
        ran.append(number)

    with pytest.raises(BlockInputError):
        effect("x")
    assert ran == []


def test_annotations_may_name_types_that_come_later_and_local_ones() -> None:
    @dataclass
    class Local:
        number: int

    @block
    def read(value: Local, later: Later | None = None) -> Local:
        return value

    assert read({"number": "3"}).number == 3
    assert read(Local(1), {"text": "a"}).number == 1


@dataclass
class Later:
    text: str


def test_a_name_that_does_not_exist_is_a_definition_error() -> None:
    @block
    def read(value: Nowhere) -> int:  # noqa: F821
        return 1

    with pytest.raises(BlockDefinitionError, match="Nowhere"):
        read(1)


def test_any_class_may_be_annotated() -> None:
    class Engine:
        pass

    @block
    def start(engine: Engine) -> Engine:
        return engine

    engine = Engine()
    assert start(engine) is engine
    with pytest.raises(BlockInputError, match="instance of"):
        start("x")


def test_an_unannotated_function_passes_values_through() -> None:
    @block
    def same(value):
        return value

    marker = object()
    assert same(marker) is marker


def test_the_arguments_are_not_copied_when_they_fit() -> None:
    @block
    def same(order: Order) -> Order:
        return order

    order = Order(1)
    assert same(order) is order


def test_raw_is_the_undecorated_function() -> None:
    assert count.raw(2).__class__.__name__ == "generator"
    assert total.raw.__name__ == "total"


def test_a_block_keeps_name_and_docs() -> None:
    @block
    def documented() -> None:
        """What it does."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "What it does."
    assert "documented" in repr(documented)


@pytest.mark.parametrize("thing", [int, 3, total], ids=["class", "number", "block"])
def test_what_is_no_function_cannot_be_a_block(thing: Any) -> None:
    with pytest.raises(BlockDefinitionError) as refused:
        block(thing)
    assert refused.value.hint


def test_a_generator_with_another_return_annotation_is_refused() -> None:
    @block
    def odd() -> int:
        yield 1

    with pytest.raises(BlockDefinitionError, match="yields"):
        odd()


def test_a_call_outside_a_flow_does_not_import_prefect() -> None:
    code = (
        "import asyncio, sys\n"
        "from conduit import block\n"
        "@block\n"
        "def f(x: int) -> int: return x\n"
        "@block\n"
        "async def g(x: int) -> int: return x\n"
        "@block\n"
        "def h(x: int): yield x\n"
        "assert f(1) == 1 and asyncio.run(g(2)) == 2\n"
        "assert f.submit(1).result() == 1 and f.map([1, 2], concurrency=2) == [1, 2]\n"
        "assert h.map([1]) == [[1]]\n"
        "assert 'prefect' not in sys.modules, 'prefect was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_a_partial_function_is_a_block_of_what_is_left() -> None:
    def add(number: int, plus: "int") -> int:
        return number + plus

    async def wait(number: int, *, plus: int) -> int:
        return number + plus

    def count(start: int, end: int) -> Iterator[int]:
        return iter(range(start, end))

    three_more = block(partial(partial(add), plus=3))
    assert (three_more.options.name, three_more("4"), three_more.map([1, 2])) == ("add", 7, [4, 5])  # type: ignore[arg-type]
    assert asyncio.run(block(partial(wait, plus=1))(2)) == 3
    assert list(block(partial(count, 1))(3)) == [1, 2]
    with pytest.raises(BlockInputError):
        three_more("many")  # type: ignore[arg-type]


def test_an_object_that_can_be_called_is_a_block() -> None:
    class Adder:
        def __call__(self, number: int, plus: "int" = 1) -> int:
            return number + plus

        def more(self, number: int) -> int:
            return number

    assert block(Adder())("3") == 4  # type: ignore[arg-type]
    assert block(Adder().more)("3") == 3  # type: ignore[arg-type]
    with pytest.raises(BlockInputError):
        block(Adder())("many")  # type: ignore[arg-type]
