"""One cache under many processes, some of which are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conduit.dataflow.caching import Shelf

# Puts and gets results whose content follows from their key, and counts what is not as it should be.
WORKER = """
import hashlib, random, sys, time
from pathlib import Path
from conduit.dataflow.caching import Shelf

folder, seed, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
shelf, draw = Shelf(folder, int(sys.argv[4])), random.Random(seed)
wrong = hits = lost = rounds = 0
print("begun", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end or rounds < 50:
    number = draw.randrange(300)
    key = hashlib.sha256(str(number).encode()).hexdigest()
    data = random.Random(number).randbytes(random.Random(number).choice([20, 900, 9_000, 40_000, 90_000]))
    found = shelf.get(key)
    if found is not None:
        hits += 1
        wrong += found != data
    else:
        shelf.put(key, f"m:b{number % 3}", data)
        # Where nothing is evicted it is there, be it as another process put it meanwhile.
        again = shelf.get(key)
        lost += again is None
        wrong += again is not None and again != data
    rounds += 1
shelf.close()
print(wrong, lost, hits, rounds, flush=True)
"""


def worker(folder: Path, seed: int, seconds: float, max_bytes: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WORKER, str(folder), str(seed), str(seconds), str(max_bytes)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("max_bytes", [3_000_000, 1 << 30], ids=["evicting", "all fits"])
def test_eight_processes_find_whole_results_or_none_though_some_are_killed(own_data_folder, max_bytes):
    folder, draw = own_data_folder / "shared", random.Random(1)
    lasting = [worker(folder, seed, 4, max_bytes) for seed in range(6)]
    killed = 0
    try:
        for process in lasting:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
        while killed < 6:
            pair = [worker(folder, 100 + 2 * killed + n, 60, max_bytes) for n in range(2)]
            for process in pair:
                assert process.stdout is not None
                assert process.stdout.readline() == "begun\n"
            time.sleep(draw.uniform(0.05, 0.3))  # kills at any moment are the test; nothing is waited for
            for process in pair:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
        for process in lasting:
            out, err = process.communicate(timeout=120)
            wrong, lost, hits, rounds = map(int, out.split())
            assert (wrong, err) == (0, "")
            assert lost == 0 or max_bytes == 3_000_000
            assert hits
            assert rounds >= 50
    finally:
        for process in lasting:
            process.kill()
            process.communicate()
    shelf = Shelf(folder, max_bytes)
    try:
        shelf.put("0" * 64, "m:b0", b"")  # who was killed before it evicted leaves that to the next who puts
        assert sum(each.bytes for each in shelf.entries()) <= max_bytes
        assert not (folder / "index.damaged").exists()
        shelf.sweep(shelf._files.folders(), older_than_s=0)
        files = [path for path in (folder / "results").rglob("*") if path.is_file()]
        indexed = shelf._database.execute("SELECT COUNT(*) FROM entry WHERE file IS NOT NULL").fetchone()[0]
        assert len(files) == indexed
        counted = shelf._database.execute("SELECT SUM(size), COUNT(*) FROM entry").fetchone()
        assert counted == shelf._database.execute("SELECT bytes, entries FROM total").fetchone()
        assert shelf._database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        shelf.close()
