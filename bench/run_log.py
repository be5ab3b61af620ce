"""What a row of the run log costs, beside a row that is committed by itself before the call goes on.

CPU of the whole process is counted: of the callers' threads, which queue rows, and of the writer's. Both ways are
timed in turn on one file, and the ratio of the medians is reported.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _report import report

from conduit.store import BlockCall, CallState, Store

BAR = 0.1
ROWS, ROUNDS = 1_000, 9


def calls() -> list[BlockCall]:
    """As the items of a map leave them."""
    run, map_id, now = str(uuid.uuid4()), uuid.uuid4().hex, time.time()
    return [
        BlockCall(
            uuid.uuid4().hex,
            "flows.inbox:triage",
            now + number / ROWS,
            0.012,
            CallState.DONE,
            flow_run_id=run,
            map_id=map_id,
            item=number,
            inputs_hash="b" * 64,
        )
        for number in range(ROWS)
    ]


def cpu_s(work: Callable[[], None]) -> float:
    """Of all threads of this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'conduit.db'}", project="/home/me/inbox", keep_days=30)
        found: dict[str, list[float]] = {"queueing": [], "queued": [], "committed": []}
        for _ in range(ROUNDS):
            queueing = cpu_s(partial(log, store, calls()))
            found["queueing"].append(queueing)
            found["queued"].append(queueing + cpu_s(partial(flush, store)))
            found["committed"].append(cpu_s(partial(log_and_wait, store, calls())))
        kept = len(store.block_calls(limit=10**6))
        store.close()
    ms = {name: statistics.median(times) * 1000 for name, times in found.items()}
    for name, each in ms.items():
        print(f"{name:10} {each:8.1f} ms CPU for {ROWS:,} rows")
    report(
        "run_log",
        ms["queued"] / ms["committed"],
        BAR,
        "lower",
        ok=kept == 2 * ROWS * ROUNDS,
        queued_ms_per_1000=round(ms["queued"], 1),
        of_the_caller_ms=round(ms["queueing"], 1),
        committed_ms_per_1000=round(ms["committed"], 1),
        rows_kept=kept,
    )


def log(store: Store, rows: list[BlockCall]) -> None:
    for row in rows:
        store.log_block_call(row)


def log_and_wait(store: Store, rows: list[BlockCall]) -> None:
    for row in rows:
        store.log_block_call(row)
        flush(store)


def flush(store: Store) -> None:
    if not store.flush(60):
        raise SystemExit("the rows were not written within a minute")


if __name__ == "__main__":
    main()
