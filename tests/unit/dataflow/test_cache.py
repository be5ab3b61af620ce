"""Kept results: what is a hit, what is not, and a cache that is full, broken, old or gone."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conduit import LMLite, errors, mdl, override
from conduit.dataflow import block, caching
from conduit.dataflow.caching import Shelf, index
from conduit.settings import load
from conduit.testing import FakeLM


@dataclass
class Word:
    text: str
    length: int


class Counted:
    """A block whose calls are counted."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[Any] = []
        calls = self.calls

        @block(version="1", **{"cache": True, **options})
        def measured(text: str, times: int = 1) -> list[Word]:
            calls.append((text, times))
            return [Word(text, len(text))] * times

        self.block = measured


@pytest.fixture
def shelf() -> Shelf:
    return caching.open_shelf(load())


def keys(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def test_equal_calls_are_made_once():
    counted = Counted()
    first, second = counted.block("a"), counted.block("a", times=1)
    assert first == second == [Word("a", 1)]
    assert first is not second  # whoever changes the one leaves the other
    counted.block("b")
    counted.block("a", 2)
    assert counted.calls == [("a", 1), ("b", 1), ("a", 2)]


def test_nothing_is_kept_unless_asked_for(own_data_folder):
    counted = Counted(cache=False)
    counted.block("a")
    counted.block("a")
    assert len(counted.calls) == 2
    assert not (own_data_folder / "cache").exists()


def test_uncached_calls_neither_look_nor_keep(shelf):
    counted = Counted()
    assert counted.block.uncached("a") == [Word("a", 1)]
    assert counted.block.uncached.map(["a", "a"]) == [[Word("a", 1)]] * 2
    assert shelf.entries() == []
    counted.block("a")
    counted.block.uncached("a")
    assert len(counted.calls) == 5
    assert not counted.block.uncached.options.cache


def test_maps_and_submitted_calls_use_it():
    counted = Counted()
    expected = [[Word(text, 1)] for text in "abab"]
    assert counted.block.map(list("abab")) == expected
    assert counted.block.map(list("abab"), concurrency=4) == expected
    assert counted.block.submit("a").result() == expected[0]
    assert len(counted.calls) == 2


def test_another_process_uses_it(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(
        "import os\nfrom conduit import block\n@block(cache=True)\ndef who() -> int:\n    return os.getpid()\n"
    )
    run = [sys.executable, "-c", "import slow; print(slow.who())"]
    said = [subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True) for _ in range(2)]
    assert said[0].stdout == said[1].stdout != ""
    assert said[0].stderr == said[1].stderr == ""


def test_failures_are_not_kept_and_retries_go_on():
    calls = []

    @block(cache=True, version="1", retries=1)
    def flaky(text: str) -> str:
        calls.append(text)
        if len(calls) < 4:
            raise OSError("away")
        return text

    with pytest.raises(OSError, match="away"):
        flaky("a")
    assert flaky("a") == "a"
    assert flaky("a") == "a"
    assert len(calls) == 4


def test_a_result_that_is_no_result_is_not_kept():
    calls = []

    @block(cache=True, version="1")
    def wrong() -> int:
        calls.append(1)
        return "many"  # type: ignore[return-value]

    for _ in range(2):
        with pytest.raises(errors.BlockOutputError):
            wrong()
    assert len(calls) == 2


def test_arguments_are_still_refused():
    with pytest.raises(errors.BlockInputError):
        Counted().block(object())


def test_what_cannot_be_kept_is_called_each_time_and_said_once(caplog):
    calls = []

    @block(cache=True, version="1")
    def opaque(value: Any) -> Any:
        calls.append(value)
        return object()

    with caplog.at_level(logging.WARNING):
        for value in (1, 1, object(), object()):
            opaque(value)
    assert len(calls) == 4
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "its result, a object" in said[0]
    assert "its argument 'value', a object" in said[1]


def test_old_results_are_made_again(monkeypatch):
    counted, brief = Counted(), None
    brief = counted.block.with_options(cache_ttl_s=60)
    counted.block("a")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    counted.block("a")
    assert len(counted.calls) == 1
    brief("a")
    assert len(counted.calls) == 2
    brief("a")
    monkeypatch.setenv("CONDUIT_CACHE_TTL_S", "10")
    counted.block("a")
    assert len(counted.calls) == 2
    monkeypatch.setattr(time, "time", lambda: now + 90)
    counted.block("a")
    assert len(counted.calls) == 3


def test_asynchronous_calls_are_kept_and_fly_once():
    calls = []

    @block(cache=True, version="1")
    async def slow(text: str) -> str:
        calls.append(text)
        await asyncio.sleep(0.05)
        return text

    async def all_of_them() -> list[str]:
        return [
            *await asyncio.gather(*(slow("a") for _ in range(20))),
            await slow("a"),
            *await slow.map(["a", "b"]),
        ]

    assert asyncio.run(all_of_them()) == ["a"] * 22 + ["b"]
    assert calls == ["a", "b"]


def test_threads_that_ask_the_same_at_once_call_once():
    calls, begun, end = [], threading.Event(), threading.Event()

    @block(cache=True, version="1")
    def slow(number: int) -> list[int]:
        calls.append(number)
        begun.set()
        assert end.wait(30)
        return [number]

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(slow, 1)
        assert begun.wait(30)
        others = [pool.submit(slow, 1) for _ in range(7)]
        end.set()
        results = [future.result(30) for future in [first, *others]]
    assert results == [[1]] * 8
    assert len({id(result) for result in results}) == 8
    assert calls == [1]


def test_when_the_call_under_way_fails_the_next_one_is_made():
    calls, gate = [], threading.Barrier(3)

    @block(cache=True, version="1")
    def poor(number: int) -> int:
        calls.append(number)
        if len(calls) == 1:
            raise OSError("away")
        return number

    def ask() -> int:
        gate.wait(30)
        return poor(1)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(ask) for _ in range(3)]
        ended = [future.exception(30) or future.result() for future in futures]
    assert sorted(map(str, ended)) == ["1", "1", "away"]
    assert len(calls) == 2


def test_a_block_that_calls_itself_does_not_wait_for_itself():
    @block(cache=True, version="1")
    def endless(number: int) -> int:
        return endless(number)

    with pytest.raises(RecursionError):
        endless(1)


def test_blocks_that_give_values_one_after_another_take_no_cache():
    def pages() -> Iterator[int]:
        yield 1

    def triage(text: str) -> mdl.Stream[Word]:
        """Sort it."""

    for decorator, function in (
        (block(cache=True), pages),
        (LMLite("conduit/tiny").block(cache=True), triage),
    ):
        with pytest.raises(errors.BlockDefinitionError, match="takes no cache"):
            decorator(function)


@pytest.mark.parametrize(
    "options", [{"cache": 1}, {"cache": "yes"}, {"cache_ttl_s": 0}, {"cache_ttl_s": "1"}]
)
def test_options_without_sense_are_refused(options):
    with pytest.raises(errors.BlockDefinitionError):
        block(**options)(lambda: 1)


def test_answers_of_a_fake_are_not_kept(shelf):
    lm = LMLite("conduit/tiny")

    @lm.block(cache=True)
    def describe(text: str) -> Word:
        """Describe it."""

    with override(lm=FakeLM({"describe": [Word("a", 1), Word("b", 2)]})) as fake:
        assert (describe("x"), describe("x")) == (Word("a", 1), Word("b", 2))
    assert len(fake.calls) == 2
    assert shelf.entries() == []


def test_a_changed_version_is_another_block():
    counted = Counted()
    counted.block("a")
    counted.block.with_options(version="2")("a")
    counted.block.with_options(name="measure", retries=1)("a")
    assert len(counted.calls) == 2


def test_what_is_there_is_told_by_block(shelf):
    counted = Counted()
    for text in ("a", "b", "a", "a"):
        counted.block(text)
    (entries,) = shelf.entries()
    assert entries.block.endswith(":Counted.__init__.<locals>.measured")
    assert (entries.entries, entries.hits) == (2, 2)
    assert entries.bytes > 2 * len(b'[{"text":"a","length":1}]')
    assert entries.oldest_at <= entries.newest_at <= time.time()
    assert shelf.clear("another:block") == (0, 0)
    assert shelf.clear(entries.block) == (2, entries.bytes)
    assert shelf.entries() == []
    counted.block("a")
    assert len(counted.calls) == 3


def test_only_what_is_older_is_cleared(shelf, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 100)
    shelf.put("a" * 64, "old", b"1")
    monkeypatch.undo()
    shelf.put("b" * 64, "new", b"1")
    assert shelf.clear(older_than_s=50)[0] == 1
    assert [each.block for each in shelf.entries()] == ["new"]


@pytest.mark.parametrize("size", [1, 16 * 1024, 16 * 1024 + 1, 3_000_000])
def test_results_of_every_size_come_back_whole(shelf, size):
    data = random.Random(size).randbytes(size)
    shelf.put("a" * 64, "one", b"before" * size)
    shelf.put("a" * 64, "one", data)
    assert shelf.get("a" * 64) == data
    assert len(list(stored_files(shelf))) == (1 if size > 16 * 1024 else 0)


def stored_files(shelf: Shelf) -> Iterator[Path]:
    return (path for path in (shelf.folder / "results").rglob("*") if path.is_file())


def test_it_stays_within_its_bound_and_keeps_what_is_used(own_data_folder):
    shelf = Shelf(own_data_folder / "small", 400_000)
    data = {key: random.Random(key).randbytes(random.Random(key).randint(10, 40_000)) for key in keys(200)}
    favourite = keys(1)[0]
    now = time.time()
    for number, (key, value) in enumerate(data.items()):
        with pytest.MonkeyPatch.context() as clock:
            clock.setattr(time, "time", lambda n=number: now + 10 * n)  # uses are told apart, and written
            shelf.put(key, "one", value)
            assert shelf.get(favourite) == data[favourite]
            (entries,) = shelf.entries()
            assert entries.bytes <= 400_000
    assert sum(path.stat().st_size for path in stored_files(shelf)) <= 400_000
    assert shelf.get(keys(200)[-1]) == data[keys(200)[-1]]
    assert shelf.get(keys(200)[1]) is None
    shelf.put("f" * 64, "one", b"x" * 400_000)  # larger than all
    assert shelf.get("f" * 64) is None
    assert shelf.get(favourite) == data[favourite]
    shelf.close()


def test_torn_and_lost_files_are_misses_and_go(shelf):
    shelf.put("a" * 64, "one", b"a" * 50_000)
    shelf.put("b" * 64, "one", b"b" * 50_000)
    torn, lost = sorted(stored_files(shelf))
    torn.write_bytes(b"a" * 49_999)
    lost.unlink()
    assert shelf.get("a" * 64) is None
    assert shelf.get("b" * 64) is None
    assert shelf.entries() == []
    assert list(stored_files(shelf)) == []


def test_what_was_put_again_while_its_file_was_looked_for_stays(shelf, monkeypatch):
    data = b"a" * 50_000
    shelf.put("a" * 64, "one", data)

    def too_late(name: str) -> None:
        shelf.put("a" * 64, "one", data)

    monkeypatch.setattr(shelf._files, "read", too_late)
    assert shelf.get("a" * 64) is None
    monkeypatch.undo()
    assert shelf.get("a" * 64) == data


def test_what_a_killed_process_left_is_swept_and_nothing_else(shelf):
    shelf.put("a" * 64, "one", b"a" * 50_000)
    (kept,) = stored_files(shelf)
    stray, begun, fresh = (
        kept.with_name(name) for name in (f"{'a' * 64}.0", f".{'a' * 64}.1", f"{'a' * 64}.2")
    )
    for path in (kept, stray, begun, fresh):
        path.write_bytes(path.read_bytes() if path.exists() else b"a")
        if path != fresh:
            os.utime(path, (time.time() - 3600,) * 2)
    assert shelf.sweep([kept.parent]) == 2
    assert sorted(stored_files(shelf)) == sorted([kept, fresh])
    assert shelf.get("a" * 64) == b"a" * 50_000


@pytest.mark.parametrize("what", ["no database", "damaged within"])
def test_a_damaged_index_is_set_aside_and_a_new_one_begins(shelf, caplog, what):
    for key in keys(50):
        shelf.put(key, "one", b"x" * 2000)
    caching.close()
    path = shelf.folder / "index.db"
    content = path.read_bytes()
    path.write_bytes(
        b"no database" * 500 if what == "no database" else content[:4096] + b"\xff" * (len(content) - 4096)
    )
    counted = Counted()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert counted.block("a") == [Word("a", 1)]
    assert len(counted.calls) <= 2  # the call that found the damage, and the one that is kept
    assert len([r for r in caplog.records if "was damaged" in r.getMessage()]) == 1
    assert (shelf.folder / "index.damaged").exists()


def test_an_index_that_is_damaged_while_it_is_open_is_replaced_once(own_data_folder, caplog):
    first, second = (Shelf(own_data_folder / "shared", 10**6) for _ in range(2))
    first.put("a" * 64, "one", b"1")
    for shelf in (first, second):  # what SQLite says of a page that it cannot read
        inode = shelf._inode
        shelf._database = index.replaced(shelf._path, shelf._database, inode)
        shelf._inode = index.inode_of(shelf._path)
    assert len([r for r in caplog.records if "was damaged" in r.getMessage()]) == 1
    second.put("b" * 64, "one", b"2")
    assert first.get("b" * 64) == b"2"
    first.close()
    second.close()


def test_a_cache_of_a_newer_version_is_left_alone(own_data_folder, caplog):
    counted = Counted()
    counted.block("a")
    caching.close()
    path = caching.folder_of(load()) / "index.db"
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {index.VERSION + 1}")
    database.close()
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            counted.block("a")
    assert len(counted.calls) == 4
    assert len([r for r in caplog.records if "newer Conduit" in r.getMessage()]) == 1
    with pytest.raises(errors.CacheUnavailable, match="newer Conduit") as refused:
        caching.open_shelf(load())
    assert str(path.parent) in (refused.value.hint or "")
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_used_stops_no_call(own_data_folder, caplog):
    (own_data_folder / "cache").write_text("a file where the folder should be")
    counted = Counted()
    with caplog.at_level(logging.WARNING):
        assert [counted.block("a") for _ in range(3)] == [[Word("a", 1)]] * 3
    assert len(counted.calls) == 3
    assert len(caplog.records) == 1
    (own_data_folder / "cache").unlink()


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from conduit import block
calls = []
@block(cache=True, version="1")
def large(size: int) -> str:
    calls.append(size)
    return "x" * size
large(10)
# The kernel refuses every byte beyond this, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for size in (5_000_000, 10, 5_000_001, *range(9_000, 9_100)):
    assert len(large(size)) == size
assert len(large(10)) == 10
print(len(calls))
"""


def test_a_full_disk_stops_no_call_and_is_said_once(own_data_folder):
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("103\n", 0), done.stderr
    assert done.stderr.count("Calls go on without") == 1, done.stderr
    shelf = caching.open_shelf(load())
    assert list(stored_files(shelf)) == []
    assert shelf.get("0" * 64) is None


def test_a_forked_process_opens_its_own(own_data_folder):
    counted = Counted()
    counted.block("a")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            counted.block("b")
            os.write(writer, str(len(counted.block("a"))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        assert said.read() == b"1"
    os.waitpid(child, 0)
    counted.block("b")
    assert counted.calls == [("a", 1)]
