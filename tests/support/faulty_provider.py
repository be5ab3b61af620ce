"""A cloud in memory that fails in every way a real one does, and the provider that rents from it.

The cloud outlives its callers: it is what stays when a controller dies. Everything that happens to a machine is
kept, so that a test can ask what was created twice, who ended what, and what it all cost.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

import anyio

from conduit.compute import Caps, NodeStatus, NodeView
from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    NoCapacity,
    OfferingRefused,
    ProviderBusy,
    ProviderRejected,
)

CREATE_FAULTS = (
    "no capacity",
    "402",
    "403",
    "422",
    "429",
    "500",
    "HTML body",
    "hangs after creating",
    "500 after creating",
    "two after creating",
    "invisible",
    "invisible after 500",
)
DESTROY_FAULTS = ("500", "429", "500 after ending", "204 but alive")
LOOK_FAULTS = ("500", "429", "slow", "forgets")

HANG_S, SLOW_S, LAG_S, FORGETS_S = 30.0, 20.0, 8.0, 2.0


@dataclass
class Machine:
    """One machine; times are Unix seconds."""

    id: str
    node_id: str
    owner: str
    deployment: str
    project: str
    created_at: float
    usd_per_hour: float
    expires_at: float | None = None
    shown_at: float = 0.0
    ended_at: float | None = None
    ignores: int = 0  # orders to end that it answers and does not obey
    double: bool = False
    lied: bool = False  # an order to end was answered and not obeyed while it was not to be seen
    ended_by: str | None = None

    def billed_usd(self, now: float) -> float:
        return self.usd_per_hour * ((self.ended_at or now) - self.created_at) / 3600


@dataclass
class Cloud:
    """Machines, and the faults that the next requests meet."""

    machines: list[Machine] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=lambda: {"create": [], "destroy": [], "look": []})
    asked: list[str] = field(default_factory=list)  # node ids of all creations that made something
    numbers: itertools.count = field(default_factory=itertools.count)

    def living(self) -> list[Machine]:
        now = time.time()
        for machine in self.machines:
            # The watchdog inside: it needs no controller.
            if machine.ended_at is None and machine.expires_at is not None and now >= machine.expires_at:
                machine.ended_at, machine.ended_by = machine.expires_at, "itself"
        return [machine for machine in self.machines if machine.ended_at is None]

    def take(self, kind: str) -> str | None:
        return self.faults[kind].pop(0) if self.faults[kind] else None

    def make(self, spec, *, usd_per_hour, shown_at=0.0, double=False) -> Machine:
        machine = Machine(
            f"pod{next(self.numbers)}",
            spec.node_id,
            spec.owner,
            spec.deployment_key,
            spec.project,
            time.time(),
            usd_per_hour,
            spec.expires_at,
            shown_at,
            double=double,
        )
        self.machines.append(machine)
        return machine

    def billed_usd(self, owner: str) -> float:
        self.living()
        now = time.time()
        return sum(m.billed_usd(now) for m in self.machines if m.owner == owner and not m.double)


class FaultyProvider:
    """Rents from a cloud; ``name`` is who asks, for the cloud's books."""

    kind = "faulty"

    def __init__(self, cloud: Cloud, *, name: str = "", settle_s: float = 10.0, absent_gap_s: float = 3.0):
        self.cloud, self.name = cloud, name
        self.caps = Caps(
            this_machine=False, gpus=True, costs=True, settle_s=settle_s, absent_gap_s=absent_gap_s
        )

    async def offerings(self, _query, /):
        return []

    async def create(self, spec):
        price = 0.0 if spec.offering is None else spec.offering.usd_per_hour
        await anyio.sleep(0.5)
        match self.cloud.take("create"):
            case "no capacity":
                raise NoCapacity("There are no longer any instances available.")
            case "402":
                raise BalanceTooLow("The balance is 0.00 USD.")
            case "403":
                raise OfferingRefused("This account may not rent it.")
            case "422":
                raise ProviderRejected("The image name is empty.")
            case "429":
                raise ProviderBusy("Too many requests.", retry_after_s=2.0)
            case "500" | "HTML body" as what:
                raise AmbiguousAnswer(f"{what}.")
            case "hangs after creating":
                self._make(spec, price)
                await anyio.sleep(HANG_S)
                raise AmbiguousAnswer("No answer within 30 s.")
            case "500 after creating":
                self._make(spec, price)
                raise AmbiguousAnswer("500.")
            case "two after creating":
                self._make(spec, price)
                self._make(spec, price, double=True)
                raise AmbiguousAnswer("500.")
            case "invisible after 500":
                self._make(spec, price, shown_at=time.time() + LAG_S)
                raise AmbiguousAnswer("500.")
            case "invisible":
                return self._view(self._make(spec, price, shown_at=time.time() + LAG_S))
        return self._view(self._make(spec, price))

    def _make(self, spec, price, **more):
        self.cloud.asked.append(spec.node_id)
        return self.cloud.make(spec, usd_per_hour=price, **more)

    async def _look(self):
        await anyio.sleep(0.1)
        match self.cloud.take("look"):
            case "500":
                raise AmbiguousAnswer("500.")
            case "429":
                raise ProviderBusy("Too many requests.", retry_after_s=2.0)
            case "slow":
                await anyio.sleep(SLOW_S)
            case "forgets":  # what has been there for a while
                for machine in self.cloud.living():
                    if time.time() - machine.created_at > self.caps.settle_s:
                        machine.shown_at = time.time() + FORGETS_S
        now = time.time()
        return [machine for machine in self.cloud.living() if machine.shown_at <= now]

    async def list_owned(self, owner):
        return [self._view(machine) for machine in await self._look() if machine.owner == owner]

    async def get(self, node_id, handle=None, /):
        found = [m for m in await self._look() if self._meant(m, node_id, handle)]
        return self._view(found[0]) if found else None

    async def destroy(self, node_id, handle=None, /, *, at_once=False):
        await anyio.sleep(0.2)
        fault = self.cloud.take("destroy")
        if fault == "500":
            raise AmbiguousAnswer("500.")
        if fault == "429":
            raise ProviderBusy("Too many requests.", retry_after_s=2.0)
        now = time.time()
        for machine in self.cloud.living():
            # By its handle a machine is found that lists do not show yet.
            if self._meant(machine, node_id, handle) and (handle or machine.shown_at <= now):
                if fault == "204 but alive":
                    machine.ignores += 2
                    machine.lied = machine.lied or machine.shown_at > now
                elif machine.ignores > 0:
                    machine.ignores -= 1
                else:
                    machine.ended_at, machine.ended_by = now, self.name
        if fault == "500 after ending":
            raise AmbiguousAnswer("500.")

    @staticmethod
    def _meant(machine, node_id, handle):
        return machine.node_id == node_id and (not handle or machine.id == handle["id"])

    async def forget(self, node_id):
        pass

    async def endpoint(self, view, port, /):
        return None

    async def logs(self, node_id, handle=None, /):
        return ""

    async def billed_usd(self, node_id, handle=None, /):
        now = time.time()
        return sum(m.billed_usd(now) for m in self.cloud.machines if self._meant(m, node_id, handle))

    async def aclose(self):
        pass

    def _view(self, machine):
        return NodeView(
            machine.node_id,
            owner=machine.owner,
            provider=self.kind,
            status=NodeStatus.STARTING,
            deployment_key=machine.deployment,
            project=machine.project,
            created_at=machine.created_at,
            handle={"id": machine.id},
            usd_per_hour=machine.usd_per_hour,
        )
