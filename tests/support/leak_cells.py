"""Cells of the leak matrix: a fault of the simulated RunPod, and a SIGKILL of the controller at one of its steps.

The controller is a process that really dies; the next one is another process, which reconciles. What is left then
is asked from the simulator, whose pods are real processes. Both are forks of one that has everything imported, for
there are hundreds of cells. ``NAIVE`` does the same as a careless program would; it must leak.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pydantic

from conduit import compute, provisioning
from conduit.compute import Offering
from conduit.compute.runpod import RunPodProvider
from conduit.errors import AmbiguousAnswer, ConduitError
from conduit.provisioning import Candidate, Site, Terms
from conduit.settings import Settings
from conduit.sim.runpod import Simulator
from conduit.store import NodeState
from conduit.store.store import Store

SETTLE_S, GAP_S, TIMEOUT_S = 0.8, 0.15, 0.4
IN_FLIGHT_S = 0.1
KEY = "d"

FAULTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "no capacity": ("create=no-capacity:1",),
    "402": ("create=402:1",),
    "403": ("create=403:1",),
    "429": ("create=429:1", "list=429:1", "delete=429:1"),
    "500": ("create=500:1", "list=500:1", "delete=500:1"),
    "HTML body": ("create=html:1", "list=html:1", "delete=html:1"),
    "slow list": ("list=slow:3,seconds=0.25", "create=cut-after:1"),
    "hangs after creating": ("create=hang:1",),
    "500 after creating": ("create=500-after:1",),
    "invisible": ("pod=invisible:1,seconds=0.5",),
    "invisible after 500": ("pod=invisible:1,seconds=0.5", "create=500-after:1"),
    "never ready": ("pod=never-ready:1",),
    "204 but alive": ("pod=undead:1,deletes=2",),
    "204, ends later": ("pod=undead:1,seconds=0.4",),
    "500 after ending": ("delete=500-after:1",),
    "pod dies": ("pod=dies:1,seconds=0.2",),
    "another port": ("pod=restarts:1,seconds=0.2",),
}
PHASES = ("provision", "destroy")

_SERVER = str(Path(__file__).with_name("stand_in_server.py"))
_OFFERINGS = (
    Offering("runpod", "NVIDIA L4", "NVIDIA L4", 1, 22.5, 0.5),
    Offering("runpod", "NVIDIA A40", "NVIDIA A40", 1, 44.5, 0.6),
)
CANDIDATES = tuple(Candidate({"models": []}, offering) for offering in _OFFERINGS)


@dataclass
class Outcome:
    """What a row of the matrix came to: one fault, one phase, all steps.

    Attributes:
        cells: Steps at which the controller was killed, and the one in which it was not.
        leaked: Machines that were left after the reconciliation, processes included.
        doubled: Nodes that ever had two machines at a time.
        problems: What else went wrong.
    """

    fault: str
    phase: str
    cells: int = 0
    leaked: int = 0
    doubled: int = 0
    foreign: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.leaked or self.doubled or self.problems) and self.foreign == 1


class _Life:
    """Counts what a controller has done, and kills its process at one of these steps."""

    def __init__(self, dies_at: int | None) -> None:
        self.steps, self.dies_at = 0, dies_at

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _Mortal:
    """A provider or a store: each answer that it gives is a step, and so is a request that waits for one."""

    def __init__(self, target: Any, life: _Life) -> None:
        self._target, self._life = target, life

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if inspect.iscoroutinefunction(value):
            return self._asynchronous(value)
        return self._synchronous(value) if callable(value) else value

    def _asynchronous(self, method):
        async def call(*args, **kwargs):
            request = asyncio.ensure_future(method(*args, **kwargs))
            try:
                _, waiting = await asyncio.wait([request], timeout=IN_FLIGHT_S)
                if waiting:
                    self._life.step()
                return await request
            finally:
                self._life.step()

        return call

    def _synchronous(self, method):
        def call(*args, **kwargs):
            try:
                return method(*args, **kwargs)
            finally:
                self._life.step()

        return call


def settings_for(simulator: Simulator, folder: Path) -> Settings:
    """A data folder of its own, and the simulator in RunPod's place."""
    return Settings(
        data_dir=folder,
        project="p",
        runpod_api_key=pydantic.SecretStr(simulator.api_key),
        runpod_base_url=simulator.base_url,
        runpod_proxy_url=simulator.proxy_url,
        runpod_settle_s=SETTLE_S,
        runpod_absent_gap_s=GAP_S,
        runpod_timeout_s=TIMEOUT_S,
    )


def simulator() -> Simulator:
    """One whose pods are real processes that start quickly."""
    return Simulator(
        provision_s=0.05,
        start_s=0.05,
        stop_s=0.5,
        max_pods=64,
        foreign=1,
        server=(sys.executable, "-I", _SERVER),
    )


def run_row(fault: str, phase: str, provisioner: Provisioner, *, every: int = 1) -> Outcome:
    """All cells of one fault and one phase: killed at each step, until a controller comes to its end.

    Args:
        fault: One of ``FAULTS``.
        phase: One of ``PHASES``.
        provisioner: ``CAREFUL`` or ``NAIVE``.
        every: Take only each so many-th step.
    """
    outcome = Outcome(fault, phase)
    with simulator() as world:
        step, killed = 1, True
        while killed:
            with tempfile.TemporaryDirectory() as folder:
                killed = _cell(world, fault, phase, step, provisioner, Path(folder), outcome)
            outcome.cells += 1
            step += every
        state = world.state()
        outcome.doubled, outcome.foreign = len(state["ever_doubled"]), len(state["foreign"])
    return outcome


def _cell(
    world: Simulator, fault: str, phase: str, step: int, who: Provisioner, folder: Path, outcome: Outcome
) -> bool:
    """Whether the controller was killed before it came to its end."""
    settings = settings_for(world, folder)
    asked = FAULTS[fault]
    of_pods = tuple(each for each in asked if each.startswith("pod="))
    if phase == "destroy":
        world.inject(*of_pods)
        in_a_process(lambda: _scene(settings, who.up, None))
        world.clear()
        asked = tuple(each for each in asked if each not in of_pods)
    world.inject(*asked)
    deed = who.up if phase == "provision" else who.down
    killed = in_a_process(lambda: _scene(settings, deed, step)) is None
    in_a_process(lambda: _scene(settings, who.repair, None))
    if not killed:
        in_a_process(lambda: _scene(settings, who.down, None))
    world.clear()
    _check(world, settings, outcome, f"step {step}")
    return killed


def _check(world: Simulator, settings: Settings, outcome: Outcome, where: str) -> None:
    state = world.state()
    left = len(state["living"])
    if left or state["processes"]:
        outcome.leaked += max(1, left)
        outcome.problems.append(f"{where}: {left} pods and {len(state['processes'])} processes are left")
        headers = {"authorization": f"Bearer {world.api_key}"}
        for pod_id in state["living"] * 3:  # also those that take more than one word
            httpx.delete(f"{world.base_url}/v2/pods/{pod_id}", headers=headers, trust_env=False)
    live = [str(record.state) for record in _rows(settings) if not record.state.final]
    if live:
        outcome.problems.append(f"{where}: rows are left {', '.join(live)}")


def _rows(settings: Settings) -> list[Any]:
    store = Store(settings.database_url)
    try:
        return store.nodes()
    finally:
        store.close()


def in_a_process(work: Callable[[], Any]) -> Any:
    """What ``work`` returned in a child process; None if that was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writing, json.dumps(f"{type(error).__name__}: {error}").encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else json.loads(said)


def _scene(settings: Settings, deed: Callable[[Site], Any], dies_at: int | None) -> str:
    """What a controller does in its life."""
    owner = compute.load_owner(settings)
    store, life = Store(settings.database_url), _Life(dies_at)
    provider = RunPodProvider.from_settings(settings, owner)
    site = Site(settings, _Mortal(store, life), _Mortal(provider, life), owner)
    try:
        asyncio.run(deed(site))
    except ConduitError as error:
        return error.code  # a typed error is an outcome, too: what counts is what it leaves
    finally:
        store.close()
    return "done"


@dataclass(frozen=True)
class Provisioner:
    """A way to have a node and to give it back."""

    up: Callable[[Site], Any]
    down: Callable[[Site], Any]
    repair: Callable[[Site], Any]


async def _put(site: Site) -> None:
    site.store.put_deployment(KEY, project="p", owner=site.owner.id, provider="runpod", spec={})


async def _up(site: Site) -> None:
    async with provisioning.exclusive(site, KEY):
        await _put(site)
        site.store.declare(KEY)
        if not await provisioning.living(site, KEY, 1):
            terms = Terms(max_lifetime_s=3600, deployment_cap_usd=5.0)
            await provisioning.start(site, KEY, 0, CANDIDATES, terms=terms)


async def _down(site: Site) -> None:
    async with provisioning.exclusive(site, KEY):
        await provisioning.remove(site, KEY)


async def _repair(site: Site) -> None:
    await provisioning.reconcile_site(site)


CAREFUL = Provisioner(_up, _down, _repair)


async def _naive_up(site: Site) -> None:
    """Asks, asks again when the answer is unclear, and writes down what it got."""
    await _put(site)
    for offering in _OFFERINGS * 2:
        node_id = compute.new_node_id()
        spec = compute.NodeSpec(node_id, site.owner.id, KEY, "p", {"models": []}, offering)
        try:
            view = await site.provider.create(spec)
        except (AmbiguousAnswer, ConduitError):
            continue
        site.store.add_intent(node_id, deployment_key=KEY, provider="runpod", owner=site.owner.id, replica=0)
        site.store.transition(node_id, NodeState.CREATING)
        site.store.transition(node_id, NodeState.STARTING, handle=view.handle)
        return


async def _naive_down(site: Site) -> None:
    """Believes the first answer."""
    for record in site.store.nodes(live=True):
        await site.provider.destroy(record.id, record.handle or None)
        site.store.transition(record.id, NodeState.TERMINATING)
        site.store.transition(record.id, NodeState.TERMINATED)


NAIVE = Provisioner(_naive_up, _naive_down, _naive_down)
