"""Maps on a Dask cluster of several processes: each item once, errors and handles travel, one deployment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conduit import lmlite
from conduit.settings import load
from conduit.store import CallState, open_store

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(300)

# A program, as a user writes one: its blocks are of the module `__main__`.
PROGRAM = """
import json, os, sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from prefect import flow
from prefect_dask import DaskTaskRunner

from conduit import block
from conduit.dataflow import ItemFailure
from conduit.errors import FileError

LOG = Path(os.environ["CALLS"])
ADDRESS = os.environ.get("SCHEDULER")
SIZE = {"n_workers": 2, "threads_per_worker": 2, "memory_limit": "1GiB"}
PORTS = {"host": "127.0.0.1", "dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
LOCAL = {**SIZE, **PORTS}


@dataclass
class Seen:
    number: int
    worker: int


@block(cache=True)
def seen(number: int, plus: int = 0) -> Seen:
    with LOG.open("a") as log:
        log.write(f"{number}\\n")  # one write of a few bytes: appended whole
    if number % 500 == 13:
        raise FileError(f"no {number}", hint="Take another.", path=str(number))
    return Seen(number + plus, os.getpid())


@block
def total(found: list[Seen], plus: Seen) -> int:
    return sum(each.number for each in found) + plus.number


@flow(task_runner=DaskTaskRunner(address=ADDRESS) if ADDRESS else DaskTaskRunner(cluster_kwargs=LOCAL))
def many(items: int, batch: int) -> None:
    found = seen.map(range(items), batch=batch, errors="collect", ledger="dask")
    well = [each for each in found if isinstance(each, Seen)]
    failed = [each for each in found if isinstance(each, ItemFailure)]
    later = seen.submit(items, plus=1)
    told = total.submit(well, later)  # waits for a handle of another task
    try:
        seen.submit(513, plus=1).result()
        caught = None
    except FileError as error:
        caught = [error.code, error.path, error.hint]
    own = psutil.Process()
    listening = {
        (c.laddr.ip, c.laddr.port)
        for process in [own, *own.children(recursive=True)]
        for c in process.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    }
    print(json.dumps({
        "in_order": [each.number for each in well] == [n for n in range(items) if n % 500 != 13],
        "failed": [[f.index, f.error.code, getattr(f.error, "path", None)] for f in failed],
        "workers": len({each.worker for each in well}),
        "here": os.getpid() in {each.worker for each in well},
        "sum": told.result(),
        "caught": caught,
        "elsewhere": sorted(ip for ip, port in listening if ip != "127.0.0.1" or port == 8787),
    }))


if __name__ == "__main__":
    many(int(sys.argv[1]), int(sys.argv[2]))
"""


def run(program: Path, *arguments: object, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        env=os.environ | {"PREFECT_LOGGING_LEVEL": "ERROR"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip().splitlines()[-1]


def check(said: str, items: int) -> None:
    numbers = [n for n in range(items) if n % 500 != 13]
    assert json.loads(said) == {
        "in_order": True,
        "failed": [[n, "file", str(n)] for n in range(items) if n % 500 == 13],
        "workers": 2,
        "here": False,
        "sum": sum(numbers) + items + 1,
        "caught": ["file", "513", "Take another."],
        "elsewhere": [],
    }


@pytest.mark.usefixtures("prefect_server")
def test_two_hundred_batches_on_two_worker_processes_call_each_item_once(tmp_path):
    program, calls = tmp_path / "many.py", tmp_path / "calls"
    program.write_text(PROGRAM)
    check(run(program, 1000, 5, CALLS=str(calls)), 1000)
    made = sorted(map(int, calls.read_text().split()))
    assert made == sorted([*range(1000), 1000, 513])

    store = open_store(load())
    counts = store.ledger_counts("dask")
    assert (counts.done, counts.failed) == (998, 2)
    (flow_run,) = store.flow_runs(limit=5)
    assert flow_run.state == "completed"
    rows = store.block_calls(limit=2000, flow_run_id=flow_run.id)
    assert sorted(row.item for row in rows if row.map_id) == list(range(1000))
    assert len({row.task_run_id for row in rows if row.map_id}) == 200
    assert {row.block for row in rows} == {"many:seen", "many:total"}
    assert sum(row.state is CallState.FAILED for row in rows) == 3

    # Again: what is on record is not called, not by any process, and what failed stands.
    again = json.loads(run(program, 1000, 5, CALLS=str(calls)))
    assert [failure[0] for failure in again["failed"]] == [13, 513]
    assert sorted(map(int, calls.read_text().split())) == sorted(
        [*made, 513]
    )  # the one that was not in the map


@contextmanager
def workers(folder: Path) -> Iterator[str]:
    """The address of a scheduler with two workers that know nothing of any program."""
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    commands = [
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", *common],
        *2
        * [[sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "2", "--no-nanny", *common]],
    ]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{len(started)}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
            deadline = time.monotonic() + 60
            while not file.exists() and time.monotonic() < deadline:
                assert started[0].poll() is None, (folder / "0.log").read_text()
                time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # Dask's own worker, at its end: no promise of ours
                process.kill()
                process.wait()


@pytest.mark.usefixtures("prefect_server")
def test_a_programs_own_blocks_reach_workers_that_run_another_program(tmp_path):
    program, elsewhere = tmp_path / "many.py", tmp_path / "elsewhere"
    program.write_text(PROGRAM)
    elsewhere.mkdir()
    with workers_ready(elsewhere, tmp_path) as address:
        said = json.loads(run(program, 60, 3, CALLS=str(tmp_path / "calls"), SCHEDULER=address))
    assert (said["in_order"], said["workers"], said["here"]) == (True, 2, False)
    assert said["sum"] == sum(range(60)) - 13 + 61
    assert sorted(map(int, (tmp_path / "calls").read_text().split())) == sorted([*range(60), 60, 513])


@contextmanager
def workers_ready(folder: Path, tmp_path: Path) -> Iterator[str]:
    os.environ["CALLS"] = str(tmp_path / "calls")  # the workers' own environment
    try:
        with workers(folder) as address:
            from distributed import Client

            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            yield address
    finally:
        del os.environ["CALLS"]


@pytest.mark.usefixtures("prefect_server")
def test_the_shipped_flow_shares_one_deployment_among_its_workers():
    try:
        said = run(ROOT / "flows" / "on_a_cluster.py", 48)
        assert said.endswith("'failed': 0, 'workers': 2}")
        settings = load()
        (deployment,) = lmlite.deployments(settings)
        assert len(deployment.nodes) == 1
        store = open_store(settings)
        assert store.ledger_counts("on-a-cluster").done == 48
        calls = store.model_calls(limit=100)
        assert len(calls) == 48
        (flow_run,) = store.flow_runs(limit=5)
        assert {call.flow_run_id for call in calls} == {flow_run.id}
        assert {call.deployment_key for call in calls} == {deployment.key}
        assert store.flow_run_totals(flow_run.id).model_calls == 48
    finally:
        subprocess.run([sys.executable, "-m", "conduit", "down"], check=False, capture_output=True)
