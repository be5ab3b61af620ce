"""All pods: made, found, stopped, ended. Each lives in a task of its own, with its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conduit.sim.runpod.catalog import DATA_CENTERS
from conduit.sim.runpod.events import Events
from conduit.sim.runpod.faults import POD, Faults
from conduit.sim.runpod.options import Options
from conduit.sim.runpod.pods.life import Life
from conduit.sim.runpod.pods.pod import ACTIONS, Pod
from conduit.sim.runpod.problems import NO_CAPACITY, Problem, not_found

_FOREVER = float("inf")


class Cloud:
    """The pods of the simulated account."""

    def __init__(self, options: Options, events: Events, faults: Faults, folder: Path) -> None:
        self._options = options
        self._events = events
        self._faults = faults
        self._folder = folder
        self._lives: dict[str, Life] = {}
        self.base_url = ""  # known once the simulator listens

    def all(self) -> list[Pod]:
        """Every pod that ever was, oldest first."""
        return [life.pod for life in self._lives.values()]

    def listed(self) -> list[Pod]:
        """What a list shows now."""
        now = time.time()
        return [pod for pod in self.all() if pod.visible("list", now)]

    def get(self, pod_id: str) -> Pod:
        """The pod.

        Raises:
            Problem: There is none, or it does not show yet.
        """
        life = self._lives.get(pod_id)
        if life is None or not life.pod.visible("get", time.time()):
            raise not_found("pod", pod_id)
        return life.pod

    def peek(self, pod_id: str) -> Pod | None:
        """The pod, also where faults hide it."""
        life = self._lives.get(pod_id)
        return None if life is None else life.pod

    def by_key(self, key: str) -> Pod | None:
        """The pod whose own key that is."""
        return next((pod for pod in self.all() if pod.key == key and not pod.gone), None)

    def running(self) -> int:
        """How many take room."""
        return sum(life.takes_room for life in self._lives.values())

    def create(
        self,
        name: str,
        asked: Mapping[str, Any],
        *,
        cloud: str,
        place: str | None,
        usd_per_hour: float,
        template: str | None = None,
        global_networking: bool = False,
        foreign: bool = False,
        endpoint: str | None = None,
        version: int | None = None,
    ) -> Pod:
        """One more pod.

        Raises:
            Problem: There is no room for it.
        """
        if not foreign and self.running() >= self._options.max_pods:
            raise Problem(400, NO_CAPACITY)
        now = time.time()
        gpu = asked["gpu"]["id"] if "gpu" in asked else None
        fault = None if foreign else self._faults.take(POD, gpu=gpu, name=name)
        pod = Pod(
            name=name,
            asked=dict(asked),
            cloud=cloud,
            place=place,
            usd_per_hour=usd_per_hour,
            created_at=now,
            folder=self._folder,
            template=template,
            global_networking=global_networking,
            foreign=foreign,
            endpoint=endpoint,
            version=version,
            fault=fault,
        )
        if fault is not None and fault.kind == "invisible":
            until = now + (_FOREVER if fault.seconds is None else fault.seconds)
            places = ("list", "get") if fault.where == "both" else (fault.where,)
            pod.hidden_until = dict.fromkeys(places, until)
        self._lives[pod.id] = Life(pod, self._options, self._events, self)
        if not foreign and endpoint is None:
            self._events.created(name, [other.name for other in self.all() if not other.gone])
        befallen = f", and it will be {fault.kind}" if fault else ""
        self._events.tell("created", f"{name} on {gpu or 'CPUs'}, {usd_per_hour:.3f} USD/h{befallen}", pod.id)
        self._lives[pod.id].start()
        return pod

    async def act(self, pod: Pod, action: str) -> None:
        """Starts, stops, restarts or terminates it.

        Raises:
            Problem: Its status does not allow that.
        """
        if action not in ACTIONS[pod.status]:
            allowed = ", ".join(ACTIONS[pod.status]) or "nothing"
            raise Problem(409, f"pod {pod.id} is {pod.status}: {action} is not allowed, {allowed} is")
        if pod.locked and action in ("stop", "restart"):
            raise Problem(409, f"pod {pod.id} is locked: unlock it before {action}")
        life = self._lives[pod.id]
        if action == "terminate":
            self.terminate(pod)
        elif action == "stop":
            await life.stop()
        elif action == "restart":
            life.restart()
        elif self.running() >= self._options.max_pods:
            raise Problem(400, NO_CAPACITY)
        else:
            life.start()

    def terminate(self, pod: Pod) -> None:
        """Ends it; one that a fault keeps alive ends later."""
        pod.deletes += 1
        if pod.endpoint is None:
            self._events.deletes[pod.name] += 1
        fault, now = pod.fault, time.time()
        if fault is not None and fault.kind == "undead" and not self._may_end(pod, now):
            self._events.tell("undead", f"{pod.name} was told to end, and lives on", pod.id)
            return
        self._lives[pod.id].terminate()

    def kill(self, pod: Pod) -> None:
        """Its process dies, as by the kernel."""
        if pod.process is not None:
            pod.process.kill()

    def restart(self, pod: Pod) -> None:
        """Its process is started anew, with another port."""
        self._lives[pod.id].restart()

    async def aclose(self) -> None:
        """Ends all processes."""
        await asyncio.gather(*(life.aclose() for life in self._lives.values()))

    def _may_end(self, pod: Pod, now: float) -> bool:
        fault = pod.fault
        assert fault is not None
        if fault.deletes is not None and pod.deletes >= fault.deletes:
            return True
        if fault.deletes is None and fault.seconds is None:
            return pod.deletes >= 2
        if fault.seconds is None:
            return False
        if pod.undead_until is None:
            pod.undead_until = now + fault.seconds
            self._lives[pod.id].terminate_later(fault.seconds)
        return now >= pod.undead_until


def add_foreign(cloud: Cloud, count: int) -> None:
    """Pods of somebody else on the same account: named unlike any node, and with no server."""
    place = next(iter(DATA_CENTERS))
    for number in range(count):
        cloud.create(
            f"jupyter-{number + 1}",
            {
                "image": "runpod/pytorch:latest",
                "gpu": {"id": "NVIDIA A40", "count": 1},
                "env": {"PROJECT": "another"},
            },
            cloud="SECURE",
            place=place,
            usd_per_hour=0.4,
            foreign=True,
        )
