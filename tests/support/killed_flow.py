"""A flow over many rows on three real replicas, killed on its way and run again until it ends by itself.

The server behind the replicas counts what it was asked, so it is known what was paid for; the ledger knows how each
row ended. Nothing that has a record may be asked for again, and each row has one record at the end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from conduit.settings import Settings
from conduit.store import LedgerRow, NodeState, Store, open_store
from support import mapped_flow

HERE = Path(__file__).parent
DEADLINE_S = 600.0


@dataclass
class Outcome:
    """What became of the rows.

    Attributes:
        in_flight: At each kill, of a flow or of a replica, the rows that had been sent and had no record.
        resent: How often rows were sent beyond once.
        states: Of the flow's runs, as Prefect knows them.
        exit_codes: Of its processes.
    """

    rows: int
    records: list[LedgerRow] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    in_flight: list[int] = field(default_factory=list)
    replicas_killed: int = 0
    states: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    log: str = ""
    took_s: float = 0.0

    @property
    def resent(self) -> int:
        return sum(self.sent.values()) - len(self.sent)

    @property
    def poison(self) -> list[int]:
        return [number for number in range(self.rows) if "poison" in mapped_flow.row(number)]

    @property
    def faults(self) -> list[str]:
        """What is not as it must be."""
        items = sorted(record.item for record in self.records)
        failed = sorted(record.item for record in self.records if record.state == "failed")
        checks = {
            "not every row has exactly one record": items == list(range(self.rows)),
            "not just the poison failed": failed == self.poison,
            "not every row was sent": len(self.sent) == self.rows,
            "more rows were sent again than were in flight": self.resent <= sum(self.in_flight),
            "a run completed": "COMPLETED" not in self.states,
            "the last run did not fail": self.states[-1:] == ["FAILED"] and self.exit_codes[-1:] == [1],
        }
        return [fault for fault, holds in checks.items() if not holds]


class KilledFlow:
    """One such flow.

    Args:
        rows: How many rows.
        folder: Of its records and logs.
        api_url: Of the Prefect server.
    """

    def __init__(self, rows: int, folder: Path, api_url: str) -> None:
        self.outcome = Outcome(rows)
        self._folder, self._api_url = folder, api_url
        self._settings = Settings(data_dir=folder, project=str(folder))
        self._counts_url = ""

    def run(self, kill_at: list[float], replica_at: float | None = None) -> Outcome:
        """Runs the flow, kills it at these shares of the rows, and a replica at another one, and lets it end.

        Args:
            kill_at: Shares of rows on record, ascending.
            replica_at: The same for the replica.
        """
        started = time.monotonic()
        with self._server() as url:
            self._counts_url = url.removesuffix("/v1") + "/counts"
            kills = sorted(
                [(share, False) for share in kill_at] + ([(replica_at, True)] if replica_at else [])
            )
            process = self._start(url)
            try:
                for share, of_replica in kills:
                    self._until(lambda share=share: self._on_record() >= share * self.outcome.rows, process)
                    if of_replica:
                        self._kill_replica()
                        continue
                    process.send_signal(signal.SIGKILL)
                    self.outcome.exit_codes.append(process.wait())
                    self._note_in_flight()
                    process = self._start(url)
                self.outcome.exit_codes.append(process.wait(DEADLINE_S))
            finally:
                process.kill()
                process.wait()
                self._bring_down(url)
            self.outcome.sent = self._sent()
        self.outcome.records = self._store.ledger_rows(mapped_flow.LEDGER, limit=10 * self.outcome.rows)
        self.outcome.states = self._states()
        self.outcome.log = (self._folder / "flow.log").read_text(errors="replace")
        self.outcome.took_s = time.monotonic() - started
        return self.outcome

    @property
    def environment(self) -> dict[str, str]:
        """Of the flow's processes, and of commands that look at what they did."""
        return {
            **os.environ,
            "CONDUIT_DATA_DIR": str(self._folder),
            "CONDUIT_PROJECT": str(self._folder),
            "PREFECT_API_URL": self._api_url,
            "PREFECT_HOME": str(self._folder / "prefect"),
            "PYTHONPATH": str(HERE.parent),
            "DO_NOT_TRACK": "1",
        }

    @property
    def _store(self) -> Store:
        return open_store(self._settings)

    @contextmanager
    def _server(self) -> Iterator[str]:
        announce = self._folder / "announce.json"
        command = [
            *(sys.executable, str(HERE / "counting_server.py"), mapped_flow.MODEL, "--host", "127.0.0.1"),
            *("--port", "0", "--served-model-name", mapped_flow.MODEL, "--max-model-len", "512"),
            *("--announce", str(announce), "--stand-in", "token_s=0.002"),
        ]
        with (self._folder / "server.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._until(announce.exists, process)
            yield f"http://127.0.0.1:{json.loads(announce.read_text())['port']}/v1"
        finally:
            process.kill()
            process.wait()

    def _start(self, url: str) -> subprocess.Popen[bytes]:
        with (self._folder / "flow.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(HERE / "mapped_flow.py"), str(self.outcome.rows)],
                env={**self.environment, "COUNTING_URL": url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _until(self, holds: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            if process.poll() is not None:
                log = (self._folder / "flow.log").read_text(errors="replace")[-4000:]
                raise AssertionError(f"the process ended early with {process.returncode}:\n{log}")
            assert time.monotonic() < deadline, "nothing went on"
            time.sleep(0.05)

    def _on_record(self) -> int:
        counts = self._store.ledger_counts(mapped_flow.LEDGER)
        return counts.done + counts.failed

    def _sent(self) -> dict[str, int]:
        counts: dict[str, int] = httpx.get(self._counts_url, timeout=30).json()
        return counts

    def _note_in_flight(self) -> None:
        on_record = self._on_record()
        self.outcome.in_flight.append(len(self._sent()) - on_record)

    def _kill_replica(self) -> None:
        node = next(node for node in self._store.nodes(live=True) if node.state is NodeState.READY)
        processes = [psutil.Process(node.handle["pid"])]
        processes += processes[0].children(recursive=True)
        for process in processes:
            process.kill()
        self._note_in_flight()
        self.outcome.replicas_killed += 1

    def _bring_down(self, url: str) -> None:
        script = "from support.mapped_flow import lm; lm.delete()"
        environment = {**self.environment, "COUNTING_URL": url}
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)

    def _states(self) -> list[str]:
        body = {
            "flow_runs": {"state": {}},
            "flows": {"name": {"any_": ["many-rows"]}},
            "sort": "START_TIME_ASC",
        }
        runs = httpx.post(f"{self._api_url}/flow_runs/filter", json=body, timeout=30).json()
        return [run["state_type"] for run in runs]
