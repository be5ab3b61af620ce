"""Who watches a map is told of each item, and a bar shows it where somebody can see it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from conduit.dataflow import block, progress
from conduit.errors import MapFailed


@block
def picky(number: int) -> int:
    if number % 5 == 0:
        raise ValueError(number)
    return number


@block
async def apicky(number: int) -> int:
    return picky.raw(number)


class Watcher:
    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.inside = threading.Lock()

    def started(self, name: str, total: int | None) -> None:
        self.told.append(("started", name, total))

    def advanced(self, done: int, failed: int) -> None:
        assert self.inside.acquire(blocking=False), "two threads at once"
        self.told.append(("advanced", done, failed))
        self.inside.release()

    def ended(self) -> None:
        self.told.append(("ended",))

    def sums(self) -> tuple[int, int]:
        steps = [told[1:] for told in self.told if told[0] == "advanced"]
        return sum(done for done, _ in steps), sum(failed for _, failed in steps)


@pytest.fixture
def watchers(monkeypatch: pytest.MonkeyPatch) -> list[Watcher]:
    made: list[Watcher] = []

    def make() -> Watcher:
        made.append(Watcher())
        return made[-1]

    monkeypatch.setattr(progress, "observers", [make, lambda: None])
    return made


@pytest.mark.parametrize("concurrency", [None, 4])
@pytest.mark.parametrize("ledger", [None, "l"])
def test_each_item_is_told(watchers: list[Watcher], concurrency: int | None, ledger: str | None) -> None:
    picky.map(range(20), batch=6, concurrency=concurrency, errors="collect", ledger=ledger)
    (watcher,) = watchers
    assert watcher.told[0] == ("started", "picky", 20)
    assert watcher.told[-1] == ("ended",)
    assert watcher.sums() == (16, 4)
    assert len(watcher.told) == 22


def test_items_on_record_are_told_too_and_so_are_async_ones(watchers: list[Watcher]) -> None:
    for _ in range(2):
        asyncio.run(apicky.map_stored(iter(range(20)), "l", errors="collect"))
    assert [watcher.sums() for watcher in watchers] == [(16, 4)] * 2
    assert watchers[0].told[0] == ("started", "apicky", None)


def test_a_map_that_fails_has_ended(watchers: list[Watcher]) -> None:
    with pytest.raises(MapFailed):
        picky.map([5])
    assert watchers[0].told[-1] == ("ended",)


def test_a_watcher_that_fails_fails_no_map(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Watcher):
        def advanced(self, done: int, failed: int) -> None:
            raise OSError("nobody there")

    good = Watcher()
    monkeypatch.setattr(progress, "observers", [Bad, lambda: good])
    assert picky.map([1, 2]) == [1, 2]
    assert good.sums() == (2, 0)
    assert caplog.text.count("nobody there") == 1


def test_without_a_terminal_nothing_is_shown(capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    picky.map([1, 2, 3])
    monkeypatch.setenv("CONDUIT_PROGRESS", "off")
    picky.map([1, 2, 3])
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_shown_where_it_is_asked_for(capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("CONDUIT_PROGRESS", "on")
    picky.map([1, 2, 3])
    assert capfd.readouterr() == ("", ""), "a map that is over at once shows nothing"
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    picky.map([1, 2, 5], errors="collect")
    out, err = capfd.readouterr()
    assert out == ""
    assert "picky" in err
    assert "3/3" in err
    assert "1 failed" in err


def test_maps_at_the_same_time_share_one_picture(capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("CONDUIT_PROGRESS", "on")
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    meeting = threading.Barrier(2, timeout=30)
    pictures: set[int] = set()

    @block
    def meets(number: int) -> int:
        if number == 2:
            pictures.add(id(progress._picture._shown))
        meeting.wait()
        return number

    threads = [threading.Thread(target=meets.map, args=([1, 2, 3],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pictures) == 1
    assert progress._picture._shown is None
    assert capfd.readouterr().err.count("meets") >= 2
