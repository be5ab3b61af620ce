"""Rented replicas that several programs use, that end by themselves, and that cannot be had at all."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conduit import ComputeProvider, LMLite, ModelConfig, lmlite
from conduit.errors import ArgumentInvalid, NothingFits, StoreUnavailable
from conduit.settings import load as load_settings
from conduit.store import open_store
from support.rented import MODEL, ask, nothing_left, rented, said_by

pytestmark = pytest.mark.timeout(120)

OTHER = """
import json, sys
from support.rented import ask, rented

with rented(replicas=2) as lm:
    answer = ask(lm)
    print(json.dumps([bool(answer), sorted(r.node_id for r in lm.health().replicas)]), flush=True)
    sys.stdin.read()
"""


def program(text: str) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {tests!r}){text}"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_programs_that_want_the_same_share_its_pods_and_the_last_one_gives_them_back(simulated):
    simulator = simulated()
    with program(OTHER) as first, program(OTHER) as second, rented(replicas=2) as lm:
        assert ask(lm)
        ours = sorted(replica.node_id for replica in lm.health().replicas)
        for other in (first, second):
            assert json.loads(other.stdout.readline()) == [True, ours]
        first.communicate(timeout=60)
        assert ask(lm), "the one that left has taken nothing along"
        lm.__exit__(None, None, None)
        assert lmlite.collect(load_settings()) == []
        assert len(simulator.state()["living"]) == 2, "the other program wants them"
        second.communicate(timeout=60)
        assert (first.returncode, second.returncode) == (0, 0)
    assert len(simulator.state()["creates"]) == 2
    assert not simulator.state()["ever_doubled"]
    assert nothing_left(simulator)


ABANDONED = """
import os, signal
from support.rented import ask, rented

lm = rented(idle_timeout=1.0)
lm.up()
print(bool(ask(lm)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_pod_whose_controller_was_killed_ends_itself_through_the_providers_api(simulated):
    # As the real ones do, a pod whose process ended starts it again and goes on costing.
    simulator = simulated(container_restarts=True)
    with program(ABANDONED) as abandoned:
        assert abandoned.stdout.readline() == "True\n"
        abandoned.wait(60)
    deadline = time.monotonic() + 60
    while simulator.state()["living"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert simulator.state()["requests"]["delete"] == 1
    assert nothing_left(simulator)


def test_pods_that_ended_because_nobody_called_come_back_with_the_next_call(simulated):
    simulator = simulated()
    with rented(idle_timeout=1.5) as lm:
        assert ask(lm)
        deadline = time.monotonic() + 40
        while simulator.state()["living"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not simulator.state()["living"], "its idle limit ended it, from inside"
        assert ask(lm)
        assert len(simulator.state()["creates"]) == 2
    assert nothing_left(simulator)
    states = [str(record.state) for record in open_store(load_settings()).nodes()]
    assert set(states) <= {"lost", "terminated"}, states


def test_what_no_machine_on_sale_can_run_is_refused_with_numbers_and_a_way(simulated, monkeypatch):
    simulator = simulated()
    monkeypatch.delenv("CONDUIT_MODEL_ALIASES")
    large = LMLite(ModelConfig("deepseek-ai/DeepSeek-R1-0528"), ComputeProvider.RUNPOD, num_gpus=1)
    with pytest.raises(NothingFits, match=r"\d GiB") as too_large:
        large.up()
    assert too_large.value.hint
    long = LMLite(ModelConfig(MODEL, max_model_len=10_000_000), ComputeProvider.RUNPOD)
    with pytest.raises(ArgumentInvalid, match="made for 262144") as too_long:
        long.up()
    assert "max_model_len=262144" in too_long.value.hint
    with pytest.raises(ArgumentInvalid, match="gpu='RTX 9090'"):
        rented(gpu="RTX 9090")
    assert not simulator.state()["creates"]
    assert open_store(load_settings()).nodes() == []


def test_with_damaged_records_nothing_is_rented_and_the_remedy_is_told(simulated, own_data_folder):
    simulator = simulated()
    database = own_data_folder / "conduit.db"
    database.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreUnavailable, match=r"conduit\.db") as damaged:
        rented().up()
    assert "damaged" in damaged.value.hint
    assert not simulator.state()["creates"]
    database.unlink()


def test_pods_outlive_lost_records_no_longer_than_the_next_command(simulated, own_data_folder):
    simulator = simulated()
    lm = rented()
    lm.up()
    lm.keep()
    lm.__exit__(None, None, None)
    assert len(simulator.state()["living"]) == 1
    open_store(load_settings()).close()
    for file in own_data_folder.glob("conduit.db*"):
        file.unlink()
    (removed,) = said_by("gc", "--yes")["removed"]
    assert (removed["kind"], removed["done"]) == ("node", True)
    assert nothing_left(simulator)
