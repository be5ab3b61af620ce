"""Ten thousand rows on three replicas, the flow killed twice and a replica once: what was done is not done again.

The replicas are real servers in front of one that counts what it is asked about each row and refuses one row in a
hundred; Prefect's server is a real one. The figure is how many rows were sent again for each that was in flight at
the kills. Every row has exactly one record at the end, the poison failed and nothing else, and no run completed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _report import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from conduit.cli.prefect_server import OwnServer
from conduit.settings import Settings
from support.killed_flow import KilledFlow

ROWS = 10_000
BAR = 1.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefect = OwnServer(Settings(data_dir=folder / "server", project=name))
        running = prefect.start()
        try:
            prefect.wait(running)
            flow = KilledFlow(rows, folder, running.api_url)
            outcome = flow.run(kill_at=[0.25, 0.6], replica_at=0.4)
            listed = listed_as_failed(flow.environment)
        finally:
            prefect.stop()
    faults = outcome.faults
    if listed != set(outcome.poison):
        faults.append(f"conduit runs failed lists {len(listed)} rows, and {len(outcome.poison)} are poison")
    for fault in faults:
        print(f"fault: {fault}")
    if faults:
        print(outcome.log[-4000:])
    print(
        f"{rows} rows in {outcome.took_s:.0f} s: {len(outcome.records)} records, "
        f"{sum(outcome.sent.values())} requests, {outcome.resent} rows sent again, "
        f"{outcome.in_flight} in flight at the kills, runs {outcome.states}"
    )
    report(
        "resume",
        outcome.resent / max(1, sum(outcome.in_flight)),
        BAR,
        "lower",
        ok=not faults,
        rows=rows,
        records=len(outcome.records),
        failed=sum(record.state == "failed" for record in outcome.records),
        requests=sum(outcome.sent.values()),
        resent=outcome.resent,
        in_flight=outcome.in_flight,
        flow_kills=outcome.exit_codes.count(-9),
        replica_kills=outcome.replicas_killed,
        runs=outcome.states,
    )


def listed_as_failed(environment: dict[str, str]) -> set[int]:
    """The rows that `conduit runs failed` lists."""
    command = [sys.executable, "-m", "conduit", "runs", "failed", "--json", "--limit", "10000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return {failed["item"] for failed in json.loads(done.stdout)["failed"]}


if __name__ == "__main__":
    main()
