"""How maps are cut: by items, by estimated tokens, and what a failure means for the batches after it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit import LMLite, override
from conduit.dataflow import block
from conduit.dataflow.mapping.cutting import Cutter
from conduit.dataflow.mapping.job import job
from conduit.errors import BlockInputError, MapFailed
from conduit.testing import FakeLM

lm = LMLite("conduit/tiny")


@lm.block
def reading(text: str) -> int:
    """Count the letters."""


def letters(text: str) -> int:
    return len(text)


def known(*_: Any) -> bool:
    raise AssertionError("there is no ledger")


@given(st.lists(st.integers(0, 400), max_size=40), st.integers(1, 9), st.integers(1, 120))
def test_a_batch_ends_at_so_many_items_or_tokens(lengths: list[int], batch: int, most: int) -> None:
    items = ["x" * length for length in lengths]
    work = job(reading, items, {}, batch=batch, batch_tokens=most)
    batches = list(Cutter(reading, work, known))
    assert [item for each in batches for item in each.items] == items
    assert [index for each in batches for index in each.indexes] == list(range(len(items)))
    tokens = [reading.definition.estimated_tokens((item,), {}) for item in items]
    for each in batches:
        assert len(each.items) <= batch
        size = sum(tokens[index] for index in each.indexes)
        assert size <= most or len(each.items) == 1
    # None is cut without need.
    for first, second in itertools.pairwise(batches):
        full = len(first.items) == batch
        assert full or sum(tokens[i] for i in [*first.indexes, second.indexes[0]]) > most


def test_tokens_are_estimated_from_the_message_as_it_is_sent() -> None:
    estimated = reading.definition.estimated_tokens
    # {"text":"xxxx…"}: 11 bytes around it.
    assert estimated(("x" * 389,), {}) == 100
    assert estimated((), {"nothing": "fits"}) == 1


def test_functions_have_no_tokens() -> None:
    @block
    def double(number: int) -> int:
        return number * 2

    with pytest.raises(BlockInputError, match="asks no model") as refused:
        double.map([1], batch_tokens=100)
    assert refused.value.parameter == "batch_tokens"
    with pytest.raises(BlockInputError, match="batch_tokens=0"):
        reading.map(["a"], batch_tokens=0)


def test_a_map_by_tokens_gives_all_results_in_order() -> None:
    texts = ["x" * (n * 37 % 200) for n in range(50)]
    with override(lm=FakeLM({"reading": lambda text: len(text) + 0})):
        assert reading.map(texts, batch_tokens=60) == [len(text) for text in texts]


@pytest.mark.parametrize("concurrency", [None, 3])
def test_finish_calls_all_items_before_it_fails(concurrency: int | None) -> None:
    ran: list[int] = []

    @block
    def picky(number: int) -> int:
        ran.append(number)
        if number % 10 == 0:
            raise ValueError(number)
        return number

    with pytest.raises(MapFailed) as failed:
        picky.map(range(40), batch=4, errors="finish", concurrency=concurrency)
    assert sorted(ran) == list(range(40))
    assert list(failed.value.failures) == [0, 10, 20, 30]
    assert (failed.value.failed, failed.value.total) == (4, 40)
    assert "not started" not in str(failed.value)


def test_finish_holds_for_async_blocks() -> None:
    ran: list[int] = []

    @block
    async def picky(number: int) -> int:
        ran.append(number)
        raise ValueError(number)

    with pytest.raises(MapFailed):
        asyncio.run(picky.map(range(20), batch=2, concurrency=1, errors="finish"))
    assert len(ran) == 20
    ran.clear()
    with pytest.raises(MapFailed, match="18 were not started"):
        asyncio.run(picky.map(range(20), batch=2, concurrency=1))


def test_small_batches_keep_all_slots_busy() -> None:
    meeting = threading.Barrier(8, timeout=30)

    @block
    def meets(number: int) -> int:
        meeting.wait()
        return number

    assert meets.map(range(16), batch=1, concurrency=8) == list(range(16))
