"""Workers of several machines on one LMLite deployment, as the page on schedules says: what they must share."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from conduit.sim.runpod import Simulator
from support import postgres
from support.rented import QUICK, nothing_left

PROGRAMS = postgres.programs()
RUN = """
import json
from support.rented import ask, rented
lm = rented(replicas=2, name="tickets")
text = ask(lm)
print(json.dumps({"nodes": sorted(r.node_id for r in lm.health().replicas if r.ready), "text": text}))
"""
DOWN = "from conduit import lmlite, settings; lmlite.down(settings.load())"

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(PROGRAMS is None, reason="no Postgres found: apt-get install postgresql"),
]


@pytest.fixture
def machine(tmp_path):
    """Runs a program as on a machine of that name: with a data folder of its own."""
    with Simulator(provision_s=0.05, start_s=0.05) as simulator, postgres.running(PROGRAMS) as cluster:
        shared = {
            **simulator.environment(),
            **QUICK,
            "CONDUIT_DB_URL": cluster.new_database(),
            "CONDUIT_PROJECT": "tickets",
        }

        def run(name, program, **changes):
            folder = tmp_path / name / "checkout"
            folder.mkdir(parents=True, exist_ok=True)
            environment = os.environ | shared | {"CONDUIT_DATA_DIR": str(folder.parent / "data")} | changes
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            command = [sys.executable, "-c", program]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout) if done.stdout else None

        run.simulator, run.folder = simulator, tmp_path
        yield run
        for name in ("one", "two"):
            run(name, DOWN)
        assert nothing_left(simulator)


def data(machine, name):
    return machine.folder / name / "data"


def test_with_the_same_owner_records_and_project_they_use_the_same_replicas(machine):
    first = machine("one", RUN)
    assert len(first["nodes"]) == 2
    data(machine, "two").mkdir(parents=True)
    shutil.copy(data(machine, "one") / "owner.key", data(machine, "two") / "owner.key")
    second = machine("two", RUN)
    assert second["nodes"] == first["nodes"]
    assert len(machine.simulator.state()["living"]) == 2


def test_without_the_owners_key_each_has_its_own(machine):
    first, second = machine("one", RUN), machine("two", RUN)
    assert not set(first["nodes"]) & set(second["nodes"])
    assert len(machine.simulator.state()["living"]) == 4
