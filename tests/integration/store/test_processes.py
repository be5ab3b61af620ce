"""Several processes share one database: nothing is lost, nothing happens twice."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from conduit.settings import Settings
from conduit.store import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = """
import os, sys, time
from conduit.errors import IllegalTransition
from conduit.settings import Settings
from conduit.store import ModelCall, open_store
store = open_store(Settings(data_dir=sys.argv[1]))
"""


@pytest.fixture
def store(tmp_path: Path):
    store = open_store(Settings(data_dir=tmp_path))
    store.put_deployment("key", project="p", owner="o", provider="local", spec={})
    yield store
    store.close()


def start(folder: Path, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", PRELUDE + code, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_four_processes_make_one_new_database(tmp_path: Path):
    code = "store.put_deployment('key', project='p', owner=str(os.getpid()), provider='local', spec={})"
    processes = [start(tmp_path / "new", code) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=50)
    assert [process.returncode for process in processes] == [0] * 4
    store = Store(f"sqlite:///{tmp_path / 'new' / 'conduit.db'}")
    assert len(store.deployments()) == 1
    store.close()


def test_of_four_processes_exactly_one_gets_each_id(store: Store, tmp_path: Path):
    code = """
won = 0
for number in range(50):
    try:
        store.add_intent(f"n{number}", deployment_key="key", provider="local", owner="o", replica=number)
        won += 1
    except IllegalTransition:
        pass
print(won)
"""
    processes = [start(tmp_path, code) for _ in range(4)]
    won = [int(process.communicate(timeout=50)[0]) for process in processes]
    assert sum(won) == 50
    assert len(store.nodes()) == 50


def test_a_declaration_counts_while_its_process_lives(store: Store, tmp_path: Path):
    process = start(tmp_path, "store.declare('key'); print('declared', flush=True); input()")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "declared\n"
        assert [d.pid for d in store.declarations("key")] == [process.pid]
        assert not store.is_ours(store.declarations("key")[0])
        process.kill()
        deadline = time.monotonic() + 20
        while store.declarations("key"):  # a killed process that nobody reaped does not count either
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()


def test_queued_calls_are_written_at_exit(store: Store, tmp_path: Path):
    process = start(tmp_path, "[store.log_call(ModelCall(float(n), 'm')) for n in range(700)]")
    process.communicate(timeout=50)
    assert process.returncode == 0
    assert len(store.model_calls(limit=1000)) == 700


def test_a_forked_child_has_connections_and_a_writer_of_its_own(store: Store, tmp_path: Path):
    code = """
import warnings
store.log_call(ModelCall(1.0, "parent"))
store.flush()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    child = os.fork()
if child == 0:
    store.declare("key")
    store.log_call(ModelCall(2.0, "child"))
    os._exit(0 if store.flush() and store.is_ours(store.declarations("key")[0]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store.log_call(ModelCall(3.0, "parent"))
"""
    process = start(tmp_path, code)
    process.communicate(timeout=50)
    assert process.returncode == 0
    assert [call.model_id for call in store.model_calls()] == ["parent", "child", "parent"]
