"""Scheduled runs share one deployment of replicas: warm for the next run, whole for whoever is left, then gone."""

import json

import psutil
import pytest

from conduit.lmlite.nodes.inventory import deployments
from conduit.settings import load
from conduit.store import open_store
from support.command_line import until

IDLE_S = 45.0
FLOW = '''
import json, os, time
from pathlib import Path

from prefect import flow

from conduit import LMLite, ModelConfig, block

lm = LMLite(
    models=[ModelConfig("conduit/tiny", max_model_concurrency=4)], replicas=2, idle_timeout={idle_s}, name="shared"
)


@lm.block
def summary(message: str) -> str:
    """Say it in a few words."""


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 100
    while not file.exists():
        assert time.monotonic() < deadline, f"{{file}} did not come"
        time.sleep(0.05)


@flow
def shared(name: str, partner: str | None = None, last: bool = False) -> None:
    """Asks, waits until its partner has asked, too, and asks again; the last one when its partner has ended."""
    texts = [f"message {{number}}" for number in range(8)]
    summary.map(texts, batch=4)
    Path(name).with_suffix(".asked").touch()
    if partner is not None:
        wait_for(Path(partner).with_suffix(".ended" if last else ".asked"))
        summary.map(texts, batch=4)
    nodes = {{replica.node_id: replica.ready for replica in lm.health().replicas}}
    Path(name).with_suffix(".json").write_text(json.dumps(nodes))
'''

pytestmark = pytest.mark.timeout(400)


def living():
    """The processes of the replicas, by node."""
    found = {}
    for node in open_store(load()).nodes(live=True):
        try:
            process = psutil.Process(node.handle["pid"])
            if process.status() != psutil.STATUS_ZOMBIE:
                found[node.id] = (process.pid, process.create_time())
        except psutil.NoSuchProcess:
            continue
    return found


def test_runs_share_replicas_that_stay_warm_and_end_by_themselves(prefect, monkeypatch):
    monkeypatch.setenv("CONDUIT_PROJECT", str(prefect.cwd))
    (prefect.cwd / "shared.py").write_text(FLOW.format(idle_s=IDLE_S))
    prefect.pool("shared")
    prefect("--no-prompt", "deploy", "shared.py:shared", "--name", "shared", "--pool", "shared")

    def completed(run_id):
        ended = prefect.ended(run_id, log)
        assert ended["state_type"] == "COMPLETED", log.read_text()[-6000:]

    def seen_by(name):
        """The nodes that a run had; all of them were ready."""
        nodes = json.loads((prefect.cwd / f"{name}.json").read_text())
        assert all(nodes.values())
        return set(nodes)

    with prefect.worker("shared") as log:
        completed(prefect.trigger("shared/shared", name="first"))
        first = living()
        assert seen_by("first") == set(first)
        assert len(first) == 2

        # The next run finds them ready and starts nothing: the same nodes, the same processes.
        completed(prefect.trigger("shared/shared", name="second"))
        assert living() == first
        assert seen_by("second") == set(first)

        # Two at once share them, and the one that ends first leaves them to the other.
        early = prefect.trigger("shared/shared", name="early", partner="late")
        late = prefect.trigger("shared/shared", name="late", partner="early", last=True)
        completed(early)
        (prefect.cwd / "early.ended").touch()
        completed(late)
        assert living() == first
        assert seen_by("early") == seen_by("late") == set(first)

    # Nobody wants it between runs, nor when its worker has gone; it ends by its idle limit, unasked.
    assert living() == first
    until(lambda: not living(), "the replicas have ended by their idle limit", IDLE_S + 60)
    [deployment] = deployments(load())
    assert [node.alive for node in deployment.nodes] == [False, False]
    assert deployment.wanted_by == ()
    assert len(open_store(load()).nodes()) == 2
