"""``map`` and ``submit`` outside a flow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.dataflow import ItemFailure, block
from conduit.errors import BlockDefinitionError, BlockInputError, MapFailed


@block
def double(number: int, plus: int = 0) -> int:
    return number * 2 + plus


@block
async def adouble(number: int, plus: int = 0) -> int:
    await asyncio.sleep(0)
    return number * 2 + plus


@block
def picky(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"three divides {number}")
    return number


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9), st.none() | st.integers(1, 5))
def test_results_come_in_the_items_order(items: list[int], batch: int, concurrency: int | None) -> None:
    wanted = [item * 2 + 1 for item in items]
    assert double.map(items, batch=batch, concurrency=concurrency, plus=1) == wanted
    assert asyncio.run(adouble.map(items, batch=batch, concurrency=concurrency, plus=1)) == wanted


def test_any_iterable_is_taken() -> None:
    assert double.map(iter([1, 2])) == [2, 4]
    assert double.map({3: "a"}) == [6]
    assert double.map([]) == []


@pytest.mark.parametrize("concurrency", [None, 1, 3, 10])
def test_no_more_items_run_at_once_than_said(concurrency: int | None) -> None:
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Event()

    @block
    def watched(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if most == (concurrency or 1):
                full.set()
        # As many as are allowed must meet, or this one fails.
        assert full.wait(30)
        with lock:
            running -= 1
        return number

    items = list(range(2 * (concurrency or 1)))
    assert watched.map(items, batch=2, concurrency=concurrency) == items
    assert most == (concurrency or 1)


@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_more_async_items_run_at_once_than_said(concurrency: int) -> None:
    running, most = 0, 0

    @block
    async def watched(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return number

    assert asyncio.run(watched.map(range(20), batch=4, concurrency=concurrency)) == list(range(20))
    assert most == concurrency


def test_a_slow_batch_does_not_hold_up_the_ones_after_it() -> None:
    last_ran = threading.Event()

    @block
    def item(number: int) -> int:
        if number == 0:
            assert last_ran.wait(30)
        if number == 19:
            last_ran.set()
        return number

    assert item.map(range(20), batch=1, concurrency=2) == list(range(20))


def test_a_failed_item_fails_the_map_and_is_kept() -> None:
    with pytest.raises(MapFailed) as failed:
        picky.map([1, 3, 2, 6], batch=64)
    assert sorted(failed.value.failures) == [1, 3]
    assert str(failed.value.failures[3]) == "three divides 6"
    assert (failed.value.total, failed.value.block) == (4, "picky")
    assert "2 of 4" in str(failed.value)
    assert isinstance(failed.value.__cause__, ValueError)


def test_an_async_map_fails_alike() -> None:
    @block
    async def apicky(number: int) -> int:
        return picky.raw(number)

    with pytest.raises(MapFailed) as failed:
        asyncio.run(apicky.map([1, 3, 2, 6]))
    assert sorted(failed.value.failures) == [1, 3]


def test_no_batch_starts_after_one_has_failed() -> None:
    ran: list[int] = []

    @block
    def fails(number: int) -> int:
        ran.append(number)
        raise ValueError(number)

    with pytest.raises(MapFailed, match="6 were not started"):
        fails.map(range(8), batch=2)
    assert ran == [0, 1]


@pytest.mark.parametrize("concurrency", [None, 4])
def test_collect_puts_a_failure_in_the_items_place(concurrency: int | None) -> None:
    results = picky.map([1, 3, 2, 6], batch=2, concurrency=concurrency, errors="collect")
    assert (results[0], results[2]) == (1, 2)
    for place, number in ((1, 3), (3, 6)):
        failure = results[place]
        assert isinstance(failure, ItemFailure)
        assert failure.index == place
        assert str(failure.error) == f"three divides {number}"


def test_a_wrong_item_is_one_failure_among_the_results() -> None:
    first, second = double.map(["x", 2], errors="collect")
    assert isinstance(first, ItemFailure)
    assert isinstance(first.error, BlockInputError)
    assert second == 4


def test_retries_are_an_items_own() -> None:
    calls: list[int] = []

    @block(retries=1)
    def flaky(number: int) -> int:
        calls.append(number)
        if calls.count(number) == 1 and number == 1:
            raise OSError("flaky")
        return number

    assert flaky.map([0, 1, 2]) == [0, 1, 2]
    assert sorted(calls) == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"batch": 0}, "batch"),
        ({"batch": 2.5}, "batch"),
        ({"concurrency": 0}, "concurrency"),
        ({"errors": "skip"}, "errors"),
        ({"items": 3}, "items"),
        ({"items": "abc"}, "items"),
    ],
    ids=str,
)
def test_arguments_of_map_without_sense_are_refused(arguments: dict[str, Any], parameter: str) -> None:
    with pytest.raises(BlockInputError) as refused:
        double.map(**{"items": [1], **arguments})
    assert refused.value.parameter == parameter


def test_a_block_without_a_parameter_cannot_map() -> None:
    @block
    def nothing() -> None: ...

    with pytest.raises(BlockDefinitionError, match="no positional parameter"):
        nothing.map([1])


def test_a_generator_block_maps_to_lists() -> None:
    @block
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    @block
    async def acount(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    assert count.map([1, 2]) == [[0], [0, 1]]
    assert asyncio.run(acount.map([1, 2])) == [[0], [0, 1]]
    assert count.submit(2).result() == [0, 1]
    assert acount.submit(2).result() == [0, 1]


def test_submit_runs_elsewhere_and_its_future_stands_for_the_value() -> None:
    here = threading.get_ident()

    @block
    def where() -> int:
        return threading.get_ident()

    assert where.submit().result(timeout_s=30) != here
    assert double(double.submit(1)) == 4
    assert double.submit(double.submit(1)).result() == 4
    assert double(1, plus=double.submit(1)) == 4
    assert double.map([double.submit(1), double.submit(2)]) == [4, 8]
    assert asyncio.run(adouble(adouble.submit(1))) == 4


def test_a_list_of_futures_stands_for_the_list_of_values() -> None:
    @block
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    assert total([double.submit(1), double.submit(2)]) == 6
    assert total(numbers=[double.submit(1)]) == 2


def test_a_futures_error_is_the_calls_error() -> None:
    with pytest.raises(ValueError, match="three"):
        picky.submit(3).result()
    with pytest.raises(ValueError, match="three"):
        double(picky.submit(3))


def test_a_future_can_be_awaited_and_waited_for_in_bounds() -> None:
    release = threading.Event()

    @block
    def held() -> int:
        release.wait(30)
        return 1

    future = held.submit()
    assert not future.done
    with pytest.raises(TimeoutError):
        future.result(timeout_s=0.01)
    release.set()

    async def awaited() -> int:
        return await future

    assert asyncio.run(awaited()) == 1
    assert future.done


def test_items_see_the_callers_context() -> None:
    variable: ContextVar[str] = ContextVar("variable")

    @block
    def read(_: int) -> str:
        return variable.get()

    variable.set("here")
    assert read.map([1, 2], concurrency=2) == ["here", "here"]
    assert read.submit(1).result() == "here"
