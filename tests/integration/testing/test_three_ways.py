"""The same flow on an embedded engine, on a simulated RunPod, and on a cassette without any network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conduit.sim.runpod import Simulator
from support.rented import MODEL, QUICK, nothing_left

PROGRAM = Path(__file__).parents[2] / "support" / "three_ways.py"
pytestmark = pytest.mark.timeout(300)


def told_by(way: str, tape: Path, *more: str, before: tuple[str, ...] = (), **variables: str) -> Any:
    """What the flow gives."""
    run = subprocess.run(
        [*before, sys.executable, str(PROGRAM), way, str(tape), *more],
        env={**os.environ, **QUICK, "TEST_MODEL": MODEL, **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def without_network() -> tuple[str, ...]:
    """A command that runs another one where there is no network at all, where the system has one."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    probe = subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False, timeout=20)
    return (unshare, "-rn") if probe.returncode == 0 else ()


def test_one_flow_gives_the_same_on_an_engine_on_rented_machines_and_on_a_cassette(
    prefect_server: str, tmp_path: Path
) -> None:
    tape = tmp_path / "inbox.json"
    embedded = told_by("record", tape, TEST_PROVIDER="local")
    assert [ticket["order_id"] for ticket in embedded["tickets"]] == ["AB-123", "CD-456", "EF-789", "GH-012"]
    assert embedded["first"] == embedded["tickets"][0]

    with Simulator(provision_s=0.05, start_s=0.05) as simulator:
        rented = told_by("flow", tape, TEST_PROVIDER="runpod", **simulator.environment())
        assert len(simulator.state()["creates"]) == 1
        subprocess.run(
            [sys.executable, "-m", "conduit", "down"],
            env={**os.environ, **QUICK, **simulator.environment()},
            check=True,
            timeout=100,
            capture_output=True,
        )
        assert nothing_left(simulator)
    assert rented == embedded

    # Nothing that could answer is in reach: no engine, no records of one, no Prefect server, no network.
    alone = {
        "TEST_PROVIDER": "local",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "CONDUIT_DATA_DIR": str(tmp_path / "nothing"),
        "CONDUIT_PROJECT": str(tmp_path),
    }
    for before in {(), without_network()}:
        assert told_by("replay", tape, before=before, **alone) == embedded
    assert not (tmp_path / "nothing").exists()

    missed = told_by("replay", tape, "Sort a support message.", **alone)
    assert (missed["block"], missed["changed"]) == ("read_ticket", ["instruction"])
    assert "-Read a support message." in missed["message"]
    assert "+Sort a support message." in missed["message"]
