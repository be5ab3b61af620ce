"""Maps with a ledger: one record an item, nothing done twice, and nothing paid for that could not be kept."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conduit import Ledger, LMLite, override, settings
from conduit.dataflow import ItemFailure, block, ledger
from conduit.dataflow.mapping import Batch, Job, run_batch, run_batch_async
from conduit.errors import (
    BlockInputError,
    LedgerUnavailable,
    MapFailed,
    NoReplica,
    NotCacheable,
    RecordedFailure,
    StoreUnavailable,
)
from conduit.mdl import Stream
from conduit.store import LedgerRow, Store, open_store
from conduit.testing import FakeLM

DEADLINE_S = 30.0

ran: list[Any] = []


def letters(text: str) -> int:
    return len(text)


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@block
def double(number: int, plus: int = 0) -> int:
    ran.append(number)
    return number * 2 + plus


@block
async def adouble(number: int) -> int:
    ran.append(number)
    await asyncio.sleep(0)
    return number * 2


@block
def count(to: int) -> Iterator[int]:
    ran.append(to)
    yield from range(to)


@block
async def acount(to: int) -> AsyncIterator[int]:
    ran.append(to)
    for number in range(to):
        yield number


@block(retries=1)
def picky(number: int) -> int:
    ran.append(number)
    if number % 3 == 0:
        raise ValueError(f"three divides {number}")
    return number


def records(name: str = "l") -> list[LedgerRow]:
    return store().ledger_rows(name, limit=1000)


def store() -> Store:
    return open_store(settings.load())


def test_each_item_has_one_record_of_how_it_ended_and_of_what_decided_it() -> None:
    with pytest.raises(MapFailed):
        picky.map([1, 3, 2], ledger="l", errors="finish")
    one, three, two = records()
    assert [(row.item, row.state, row.attempts) for row in (one, three, two)] == [
        (0, "done", 1),
        (1, "failed", 2),
        (2, "done", 1),
    ]
    assert (one.result, three.result) == (b"1", None)
    assert (three.error, three.error_text, one.error) == ("ValueError", "three divides 3", None)
    assert one.block.endswith(":picky")
    assert one.version == three.version
    assert one.schema_hash
    assert one.model_id is None
    assert time.time() - 60 < one.finished_at <= time.time()


def test_the_record_of_a_models_block_names_the_model_and_the_sampling() -> None:
    lm = LMLite("conduit/tiny")

    @lm.block(temperature=0.5, seed=7)
    def reading(text: str) -> int:
        """Read the number."""

    with override(lm=FakeLM({"reading": lambda text: len(text) + 0})) as fake:
        assert reading.map(["a", "bb"], ledger="l") == [1, 2]
        assert reading.map(["a", "bb", "ccc"], ledger="l") == [1, 2, 3]
    assert len(fake.calls) == 3
    (row, *_) = records()
    assert row.model_id == "conduit/tiny"
    assert row.sampling is not None
    assert (row.sampling["temperature"], row.sampling["seed"]) == (0.5, 7)


@pytest.mark.parametrize("concurrency", [None, 3])
def test_what_is_done_is_not_called_again(concurrency: int | None) -> None:
    assert double.map([1, 2, 3], ledger="l", concurrency=concurrency) == [2, 4, 6]
    assert double.map([0, 3, 1, 4], ledger="l", concurrency=concurrency) == [0, 6, 2, 8]
    assert sorted(ran) == [0, 1, 2, 3, 4]


def test_what_is_done_is_not_called_again_of_other_kinds_of_blocks() -> None:
    for _ in range(2):
        assert asyncio.run(adouble.map([1, 2], ledger="a")) == [2, 4]
        assert count.map([2, 3], ledger="b") == [[0, 1], [0, 1, 2]]
        assert asyncio.run(acount.map([4], ledger="c")) == [[0, 1, 2, 3]]
    assert sorted(ran) == [1, 2, 2, 3, 4]


@dataclass
class Ticket:
    topic: str


def test_a_stream_blocks_values_are_kept() -> None:
    lm = LMLite("conduit/tiny")

    @lm.block
    def triage(message: str) -> Stream[Ticket]:
        """Classify it."""

    with override(lm=FakeLM({"triage": Ticket("bug")})) as fake:
        for _ in range(2):
            assert triage.map(["a", "b"], ledger="l") == [Ticket("bug")] * 2
    assert len(fake.calls) == 2


def test_equal_items_have_a_record_each() -> None:
    assert double.map([1, 1, 1], ledger="l") == [2, 2, 2]
    assert double.map([1, 1, 1, 1], ledger="l") == [2, 2, 2, 2]
    assert ran == [1, 1, 1, 1]
    assert len({row.key for row in records()}) == 4


def test_other_arguments_and_another_version_are_other_items(caplog: pytest.LogCaptureFixture) -> None:
    double.map([1], ledger="l")
    assert double.map([1], ledger="l", plus=1) == [3]
    with caplog.at_level(logging.INFO, "conduit"):
        assert double.with_options(version="2").map([1, 2], ledger="l") == [2, 4]
    assert len(ran) == 4
    assert "double.map under the ledger 'l': 0 items reused, 2 sent, 0 failed" in caplog.text


def test_a_failed_item_stays_failed_until_it_is_to_be_tried_again() -> None:
    picky.map([3, 1], ledger="l", errors="collect")
    failed, one = picky.map([3, 1], ledger="l", errors="collect")
    assert one == 1
    assert isinstance(failed, ItemFailure)
    assert isinstance(failed.error, RecordedFailure)
    assert (failed.error.error_code, failed.error.ledger) == ("ValueError", "l")
    assert "three divides 3" in str(failed.error)
    assert ran == [3, 3, 1]  # its retry
    with pytest.raises(MapFailed, match="1 of 2"):
        picky.map([3, 1], ledger="l")
    ran.clear()
    again, _ = picky.map([3, 1], ledger=Ledger("l", retry_failed=True), errors="collect")
    assert isinstance(again, ItemFailure)
    assert ran == [3, 3]


def test_what_failed_for_want_of_a_machine_is_called_again_in_any_case() -> None:
    up = False

    @block(version="1")
    def remote(number: int) -> int:
        if not up:
            raise NoReplica("no replica is ready")
        return number

    with pytest.raises(MapFailed):
        remote.map([1], ledger="l")
    assert [row.error for row in records()] == [NoReplica.code]
    up = True
    assert remote.map([1], ledger="l") == [1]
    assert [(row.state, row.error) for row in records()] == [("done", None)]


def test_an_item_that_the_signature_refuses_has_its_record() -> None:
    for _ in range(2):
        wrong, _ = double.map(["x", 1], ledger="l", errors="collect")
        assert isinstance(wrong, ItemFailure)
    assert [(row.state, row.error) for row in records()] == [("failed", BlockInputError.code), ("done", None)]
    assert ran == [1]


def test_an_items_place_is_free_when_its_record_is_on_disk() -> None:
    begun, lock = 0, threading.Lock()
    early: list[int] = []

    @block(version="1")
    def watched(number: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
            ended = begun - 3
        if store().ledger_counts("l").done < ended:
            early.append(number)
        return number

    watched.map(range(60), ledger="l", concurrency=3, batch=7)
    assert begun == 60
    assert early == []


def test_items_in_a_row_are_on_disk_soon() -> None:
    @block(version="1")
    def after(number: int) -> int:
        deadline = time.monotonic() + DEADLINE_S
        while store().ledger_counts("l").done < number:
            assert time.monotonic() < deadline, "no record came while the batch ran"
            time.sleep(0.01)
        return number

    assert after.map(range(3), ledger="l") == [0, 1, 2]


@pytest.mark.parametrize("concurrency", [None, 2])
def test_a_value_that_cannot_be_kept_ends_the_map(concurrency: int | None) -> None:
    @block(version="1")
    def opened(number: int) -> Any:
        ran.append(number)
        return threading.Lock()

    with pytest.raises(NotCacheable) as refused:
        opened.map(range(20), ledger="l", errors="finish", concurrency=concurrency)
    assert refused.value.block == "opened"
    assert len(ran) <= (concurrency or 1)


def test_an_item_that_cannot_be_written_ends_the_map_before_it_is_called() -> None:
    @block(version="1")
    def taking(anything: Any) -> int:
        ran.append(anything)
        return 1

    with pytest.raises(NotCacheable, match="anything"):
        taking.map([threading.Lock()], ledger="l", errors="collect")
    assert ran == []


@pytest.mark.parametrize("concurrency", [None, 2])
@pytest.mark.parametrize("errors", ["raise", "finish", "collect"])
def test_a_ledger_that_cannot_be_written_ends_the_map_and_keeps_what_is_on_disk(
    monkeypatch: pytest.MonkeyPatch, concurrency: int | None, errors: Any
) -> None:
    written = Store.ledger_put
    full = False

    def put(self: Store, rows: Any) -> None:
        if full:
            raise StoreUnavailable("the disk is full", hint="Free some space.")
        written(self, rows)

    monkeypatch.setattr(Store, "ledger_put", put)

    @block(version="1")
    def until_full(number: int) -> int:
        nonlocal full
        ran.append(number)
        full = full or number == 10
        return number

    with pytest.raises(LedgerUnavailable) as ended:
        until_full.map(range(50), batch=4, ledger="l", concurrency=concurrency, errors=errors)
    assert ended.value.kept is not None
    assert "disk is full" in ended.value.message
    assert len(ran) < 16
    kept = len(records())
    assert ended.value.kept <= kept < 12


def test_a_map_goes_on_after_the_disk_was_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(self: Store, rows: Any) -> None:
        raise StoreUnavailable("the disk is full")

    double.map(range(10), ledger="l")
    with monkeypatch.context() as full:
        full.setattr(Store, "ledger_put", put)
        with pytest.raises(LedgerUnavailable):
            double.map(range(20), ledger="l")
    ran.clear()
    assert double.map(range(20), ledger="l") == [2 * number for number in range(20)]
    assert ran == list(range(10, 20))


def test_whatever_a_write_fails_with_ends_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(self: Store, rows: Any) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(Store, "ledger_put", put)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="nobody thought of this"):
            double.map(range(20), ledger="l", concurrency=2)


def test_a_damaged_record_is_called_again(caplog: pytest.LogCaptureFixture) -> None:
    double.map([1], ledger="l")
    (row,) = records()
    store().ledger_put([LedgerRow(**{**vars(row), "result": b"[broken"})])
    assert double.map([1], ledger="l") == [2]
    assert "called again" in caplog.text
    assert records()[0].result == b"2"


def moved(work: Job, numbers: list[int], keys: list[str]) -> Batch:
    """A batch as another process gets it."""
    copy: Batch = pickle.loads(pickle.dumps(Batch(work, numbers, numbers, keys)))
    return copy


def test_a_batch_in_another_process_opens_the_ledger_and_goes_on_where_one_that_died_was() -> None:
    keys = [f"{number:064x}:0" for number in range(4)]
    work = Job([], {}, 4, None, ledger=Ledger("l"))
    assert run_batch(double, moved(work, [0, 1], keys[:2])) == [0, 2]
    assert run_batch(double, moved(work, [0, 1, 2], keys[:3])) == [0, 2, 4]
    assert asyncio.run(run_batch_async(adouble, moved(work, [1, 2, 3], keys[1:]))) == [2, 4, 6]
    assert ran == [0, 1, 2, 3]
    assert [row.item for row in records()] == [0, 1, 2, 3]
    assert not ledger._shelves


def test_maps_of_one_process_share_a_ledger() -> None:
    meeting = threading.Barrier(2, timeout=DEADLINE_S)

    @block(version="1")
    def meets(number: int) -> int:
        meeting.wait()
        return number

    threads = [threading.Thread(target=meets.map, args=([n],), kwargs={"ledger": "l"}) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert sorted(row.result or b"" for row in records()) == [b"1", b"2"]


def test_the_thread_of_a_ledger_ends_with_the_map() -> None:
    double.map(range(3), ledger="l")
    assert not [thread for thread in threading.enumerate() if thread.name == "conduit-ledger"]
    assert not ledger._shelves


@pytest.mark.parametrize("given", [3, "", " ", "x" * 300], ids=repr)
def test_what_is_no_ledger_is_refused(given: Any) -> None:
    with pytest.raises(BlockInputError) as refused:
        double.map([1], ledger=given)
    assert refused.value.parameter == "ledger"


def test_ledgers_of_two_projects_are_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    double.map([1], ledger="l")
    monkeypatch.setenv("CONDUIT_PROJECT", str(tmp_path / "other"))
    double.map([1], ledger="l")
    assert ran == [1, 1]


def test_a_fakes_records_are_never_taken_for_the_models() -> None:
    @block
    def asked(number: int) -> int:
        ran.append(number)
        return number

    with override(lm=FakeLM()):
        asked.map([1, 2], ledger="mixed")
        asked.map([1, 2], ledger="mixed")
    assert ran == [1, 2]
    asked.map([1, 2], ledger="mixed")
    assert ran == [1, 2, 1, 2]
