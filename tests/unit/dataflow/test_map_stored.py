"""Results that stay on disk: a sequence that reads as it is asked, from items that are taken as they are needed."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from conduit import Ledger, settings
from conduit.dataflow import ItemFailure, StoredResults, block
from conduit.dataflow.mapping import stored
from conduit.errors import BlockInputError, LedgerUnavailable, MapFailed
from conduit.store import open_store
from support import picklable_blocks


@dataclass
class Page:
    number: int


@block
def page(number: int) -> Page:
    if number < 0:
        raise ValueError(f"no page {number}")
    return Page(number)


@block
async def apage(number: int) -> Page:
    return page.raw(number)


def test_stored_results_are_a_sequence_of_values() -> None:
    pages = page.map_stored(range(150), "l")
    assert isinstance(pages, StoredResults)
    assert len(pages) == 150
    assert list(pages) == list(map(Page, range(150)))
    assert list(pages) == list(map(Page, range(150)))  # once more
    assert (pages[0], pages[-1], pages[70:73]) == (Page(0), Page(149), [Page(70), Page(71), Page(72)])
    assert (vars(pages.counts), list(pages.failures())) == (
        {"total": 150, "done": 150, "failed": 0, "reused": 0},
        [],
    )
    with pytest.raises(IndexError):
        pages[150]


def test_an_async_blocks_results_stay_on_disk_too() -> None:
    pages = asyncio.run(apage.map_stored(iter(range(100)), "l", batch=7))
    assert list(pages) == list(map(Page, range(100)))


def test_they_are_of_this_map_whatever_else_the_ledger_holds() -> None:
    page.map([7, 8, 9], ledger="l")
    pages = page.map_stored([9, 5, 7, 9], "l")
    assert list(pages) == [Page(9), Page(5), Page(7), Page(9)]
    assert pages.counts.reused == 2


def test_failures_stand_among_collected_results() -> None:
    pages = page.map_stored([1, -1, 2, -2], "l", errors="collect")
    assert [type(result) for result in pages] == [Page, ItemFailure, Page, ItemFailure]
    assert [failure.index for failure in pages.failures()] == [1, 3]
    assert "no page -2" in str(pages[3].error)
    assert (pages.counts.done, pages.counts.failed) == (2, 2)


@pytest.mark.parametrize("errors", ["raise", "finish"])
def test_failures_fail_the_map_otherwise(errors: Any) -> None:
    with pytest.raises(MapFailed) as failed:
        page.map_stored(iter([1, -1, 2]), "l", errors=errors, batch=2)
    assert (failed.value.failed, list(failed.value.failures)) == (1, [1])
    assert open_store(settings.load()).ledger_counts("l").done == (1 if errors == "raise" else 2)


@pytest.mark.parametrize("concurrency", [None, 4])
def test_items_are_taken_as_they_are_needed(concurrency: int | None) -> None:
    taken = ended = furthest = 0
    lock = threading.Lock()

    def numbers() -> Iterator[int]:
        nonlocal taken, furthest
        for number in range(2000):
            with lock:
                taken += 1
                furthest = max(furthest, taken - ended)
            yield number

    @block(version="1")
    def counted(number: int) -> int:
        nonlocal ended
        with lock:
            ended += 1
        return number

    counted.map_stored(numbers(), "l", batch=10, concurrency=concurrency)
    assert (taken, ended) == (2000, 2000)
    # A portion that is looked up together, the batches under way, and the one that is being filled.
    assert furthest <= 64 + 3 * 10 + 4


def test_stored_results_are_the_next_maps_items() -> None:
    @block
    def number_of(found: Page) -> int:
        return found.number

    pages = page.map_stored(range(200), "pages")
    assert list(number_of.map_stored(pages, "numbers")) == list(range(200))
    assert number_of.map(pages) == list(range(200))


def test_blocks_take_stored_results_as_the_values_that_they_are() -> None:
    pages = page.map_stored([1, 2], "l")

    @block
    def as_list(found: list[Page]) -> int:
        return sum(one.number for one in found)

    @block
    def as_sequence(found: Sequence[Page]) -> int:
        return sum(one.number for one in found)

    @block
    def as_iterable(found: Iterable[Page]) -> int:
        return sum(one.number for one in found)

    assert [each(pages) for each in (as_list, as_sequence, as_iterable)] == [3, 3, 3]


def test_many_keys_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_IN_MEMORY", 360)
    pages = page.map_stored([*range(100), 5, 5], "l")
    assert list(pages) == [*map(Page, range(100)), Page(5), Page(5)]


def test_they_travel_to_another_process() -> None:
    doubled = picklable_blocks.double.map_stored(range(70), "l")
    copy = pickle.loads(pickle.dumps(doubled))
    assert list(copy) == list(range(0, 140, 2))
    assert copy.counts == doubled.counts


def test_a_record_that_is_gone_is_told_by_name() -> None:
    pages = page.map_stored([1], "l")
    open_store(settings.load()).ledger_delete("l")
    with pytest.raises(LedgerUnavailable, match="item 0 is not on record") as gone:
        list(pages)
    assert gone.value.ledger == "l"


def test_a_ledger_is_needed() -> None:
    with pytest.raises(BlockInputError):
        page.map_stored([1], None)


def test_an_iterable_that_fails_ends_the_map_after_what_is_under_way() -> None:
    def broken() -> Iterator[int]:
        yield from range(130)
        raise OSError("the file ended")

    with pytest.raises(OSError, match="the file ended"):
        page.map_stored(broken(), "l", concurrency=3, batch=10)
    with pytest.raises(OSError, match="the file ended"):
        asyncio.run(apage.map_stored(broken(), Ledger("m"), batch=10))
    for name in ("l", "m"):
        assert open_store(settings.load()).ledger_counts(name).done >= 100
