"""A Prefect server that goes away in the middle of a flow: the work that is done is kept, and nothing hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conduit.settings import load
from conduit.store import open_store
from support.own_prefect import OwnPrefect

PROGRAM = Path(__file__).parents[2] / "support" / "steady_flow.py"
ITEMS = 240
TOTAL = sum(number * number for number in range(ITEMS))

pytestmark = pytest.mark.timeout(500)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnPrefect]:
    home = tmp_path / "prefect"
    home.mkdir()
    own = OwnPrefect(home)
    own.start()
    yield own
    own.kill()


class Steady:
    """A process with the flow."""

    def __init__(self, folder: Path, server: OwnPrefect, *options: str) -> None:
        self.calls = folder / "calls"
        self._log = folder / "flow.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(ITEMS), str(self.calls), *options],
                env={**os.environ, **server.variables},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def done(self) -> int:
        return open_store(load()).ledger_counts("steady").done

    def until_done(self, items: int) -> None:
        deadline = time.monotonic() + 120
        while self.done() < items:
            assert time.monotonic() < deadline, self._log.read_text()[-3000:]
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            time.sleep(0.05)

    def told(self, timeout_s: float = 300) -> dict[str, Any]:
        """What the process printed, when it has ended."""
        told: dict[str, Any] = {}
        for line in self.process.communicate(timeout=timeout_s)[0].splitlines():
            told |= json.loads(line)
        return told

    def called(self) -> list[int]:
        return [int(line) for line in self.calls.read_text().split()]


def test_a_server_that_comes_back_finds_its_flow_at_work(server: OwnPrefect, tmp_path: Path) -> None:
    flow = Steady(tmp_path, server)
    flow.until_done(10)
    server.kill()
    flow.until_done(flow.done() + 4)  # what runs, runs on
    server.start()
    told = flow.told()
    assert (told["map"], told["flow"]) == (TOTAL, "COMPLETED")
    assert flow.process.returncode == 0
    assert sorted(flow.called()) == list(range(ITEMS))
    assert httpx.get(f"{server.url}/flow_runs/{told['run']}").json()["state_type"] == "COMPLETED"


def test_a_server_that_is_gone_for_good_ends_the_flow_and_the_next_run_goes_on(
    server: OwnPrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "1")  # of the end of the flow, which is Prefect's
    flow = Steady(tmp_path, server, "3")
    flow.until_done(10)
    server.kill()
    begun = time.monotonic()
    told = flow.told()
    took_s = time.monotonic() - begun
    assert (told["map"], told["block"]) == ("block.flow_server", "squared")
    assert flow.process.returncode == 1
    called = flow.called()
    assert flow.done() == len(called) == len(set(called))  # each item that was begun has its record
    assert 10 <= len(called) < ITEMS

    server.start()
    again = Steady(tmp_path, server)
    assert again.told()["map"] == TOTAL
    assert sorted(again.called()) == list(range(ITEMS))  # each once, over both runs
    print(json.dumps({"ended_after_s": round(took_s, 1), "kept": len(called)}))
