"""Large maps in real flows: ledgers, stored results, failures that fail the run, and processes that are killed."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conduit import settings
from conduit.dataflow import ItemFailure, StoredResults, block
from conduit.errors import LedgerInUse, MapFailed
from conduit.store import CallState, LedgerRow, Store, open_store
from support.flow_runs import Runner
from support.killed_flow import KilledFlow

DEADLINE_S = 60.0

ran: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@block
def double(number: int) -> int:
    ran.append(number)
    if number % 10 == 7:
        raise ValueError(f"no {number}")
    return number * 2


@block
async def adouble(number: int) -> int:
    ran.append(number)
    return number * 2


@block
def total(numbers: list[int]) -> int:
    return sum(numbers)


def store() -> Store:
    return open_store(settings.load())


def records(name: str = "l") -> list[LedgerRow]:
    return store().ledger_rows(name, limit=1000)


@pytest.mark.parametrize("errors", ["raise", "finish"])
def test_a_flow_whose_items_fail_has_failed_and_goes_on_from_its_ledger(run: Runner, errors: Any) -> None:
    def mapped() -> list[int]:
        return double.map(range(30), batch=5, ledger="l", errors=errors)

    failed, first = run(mapped)
    assert first.state == "FAILED"
    assert isinstance(failed, MapFailed)
    assert all(row.flow_run_id == first.tasks[0]["flow_run_id"] for row in records())
    if errors == "finish":
        assert sorted(failed.failures) == [7, 17, 27]
        assert len(records()) == 30
        ran.clear()
        _, second = run(mapped)
        assert (second.state, second.tasks, ran) == ("FAILED", [], [])


def test_collected_failures_leave_the_run_well_and_counted(run: Runner) -> None:
    def mapped() -> list[int | ItemFailure]:
        return double.map(range(20), batch=8, errors="collect", ledger="l")

    results, known = run(mapped)
    assert known.state == "COMPLETED"
    assert [r.index for r in results if isinstance(r, ItemFailure)] == [7, 17]
    calls = store().block_calls(limit=100, flow_run_id=known.tasks[0]["flow_run_id"])
    assert sorted(call.item for call in calls) == list(range(20))
    assert [call.item for call in sorted(calls, key=lambda c: c.item) if call.state is CallState.FAILED] == [
        7,
        17,
    ]
    assert len({call.map_id for call in calls}) == 1


def test_only_what_is_missing_makes_a_task(run: Runner) -> None:
    @block(version="1")
    def same(number: int) -> int:
        return number

    def mapped() -> None:
        same.map(range(10), ledger="l")
        same.map([*range(10), 20, 21, 22], batch=4, ledger="l")

    _, known = run(mapped)
    assert known.names == ["same[0:10]", "same[10:13]"]


def test_stored_results_pass_from_map_to_map_with_their_edges(run: Runner) -> None:
    @block(version="1")
    def more(number: int) -> int:
        return number + 1000

    @block(version="1")
    def half(number: int) -> int:
        return number // 2

    def mapped() -> list[int]:
        large = more.map_stored((n for n in range(20)), "a", batch=10)
        assert isinstance(large, StoredResults)
        halves = half.map_stored(large, "b", batch=20)
        return total(list(halves))

    result, known = run(mapped)
    assert result == sum((n + 1000) // 2 for n in range(20))
    assert ("more[0:10]", "half[0:20]") in known.edges()
    assert ("more[10:20]", "half[0:20]") in known.edges()


def test_an_async_map_in_a_flow_is_stored_too(run: Runner) -> None:
    async def mapped() -> list[int]:
        stored = await adouble.map_stored(iter(range(50)), "l", batch=16)
        again = await adouble.map(range(50), ledger="l")
        assert again == list(stored)
        return again

    result, known = run(mapped)
    assert result == [2 * n for n in range(50)]
    assert len(known.tasks) == 4
    assert sorted(ran) == list(range(50))


_HOLDER = """
import sys, time
from conduit import block

@block
def held(number: int) -> int:
    print("holds", flush=True)
    time.sleep(600)
    return number

held.map([1], ledger="l")
"""


def test_one_process_at_a_time_maps_under_a_ledger_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    script = tmp_path / "holder.py"
    script.write_text(_HOLDER)
    holder = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holds\n"
        for attempt in (
            lambda: double.map([1], ledger="l"),
            lambda: asyncio.run(adouble.map([1], ledger="l")),
        ):
            with pytest.raises(LedgerInUse) as refused:
                attempt()
            assert refused.value.ledger == "l"
        assert double.map([1], ledger="other") == [2]
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert double.map([1], ledger="l") == [2]


@pytest.mark.timeout(300)
def test_a_flow_that_is_killed_goes_on_where_it_was(prefect_server: str, tmp_path: Path) -> None:
    outcome = KilledFlow(300, tmp_path, prefect_server).run(kill_at=[0.4], replica_at=0.6)
    assert outcome.faults == [], outcome.log[-4000:]
    assert (outcome.exit_codes, outcome.replicas_killed) == ([-9, 1], 1)


_FULL = """
import resource, sys
from conduit import block, settings
from conduit.errors import LedgerUnavailable
from conduit.store import open_store

@block
def page(number: int) -> str:
    return "x" * 100_000

store = open_store(settings.load())
page.map([1000], ledger="l")
limit = 4_000_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    page.map(range(100), batch=5, concurrency=2, ledger="l")
except LedgerUnavailable as error:
    print(error.code, error.kept, flush=True)
"""


def test_a_full_disk_ends_the_map_and_what_is_kept_stays(tmp_path: Path) -> None:
    script = tmp_path / "full.py"
    script.write_text(_FULL)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.stdout.startswith("store.ledger "), done.stderr[-3000:]
    kept = int(done.stdout.split()[1])
    found = records()
    assert kept < len(found) < 100
    assert all(row.state == "done" and len(row.result or b"") == 100_002 for row in found)


def test_two_processes_write_their_ledgers_at_once(tmp_path: Path) -> None:
    script = tmp_path / "writer.py"
    script.write_text(
        "import sys\nfrom conduit import block\n\n@block\ndef same(number: int) -> int:\n    return number\n\n"
        "assert same.map(range(500), ledger=sys.argv[1], concurrency=4) == list(range(500))\n"
    )
    processes = [subprocess.Popen([sys.executable, str(script), name]) for name in ("a", "b")]
    deadline = time.monotonic() + DEADLINE_S
    assert [process.wait(deadline - time.monotonic()) for process in processes] == [0, 0]
    for name in ("a", "b"):
        assert sorted(row.item for row in records(name)) == list(range(500))


_SHOWN = """
from conduit import block
from conduit.dataflow import progress

progress._PATIENCE_S = 0.0

@block
def shown(number: int) -> int:
    return number

shown.map(range(5))
"""


def test_a_terminal_shows_how_far_a_map_is(tmp_path: Path) -> None:
    script = tmp_path / "shown.py"
    script.write_text(_SHOWN)
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, str(script)],
            stderr=theirs,
            stdout=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            timeout=DEADLINE_S,
            check=True,
        )
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stdout == b""
    assert "shown" in said
    assert "5/5" in said
