"""One pod: what was asked for, where it is in its life, and what it has cost."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from conduit.sim.runpod.faults import Fault
from conduit.sim.runpod.meter import Meter
from conduit.sim.runpod.pods.log import Log
from conduit.sim.runpod.pods.process import PodProcess

Status = Literal["PROVISIONING", "STARTING", "RUNNING", "EXITED", "ERROR", "TERMINATED"]
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "PROVISIONING": ("stop", "terminate"),
    "STARTING": ("stop", "terminate"),
    "RUNNING": ("stop", "restart", "terminate"),
    "EXITED": ("start", "terminate"),
    "ERROR": ("start", "terminate"),
    "TERMINATED": (),
}


def new_id(length: int = 14) -> str:
    """An id of the kind that the API makes."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(length))


@dataclass
class Pod:
    """A pod, also when it is gone.

    Attributes:
        asked: Container settings, mounts, GPU or CPU, as they hold now.
        usd_per_hour: While it runs.
        created_at: Unix seconds, as all times here.
        folder: Where its process's log and address lie; given is that of all pods.
        key: The API key that its own processes get; good for this pod alone.
        endpoint: Whose worker it is; None for a pod.
        version: Release of the endpoint that a worker runs.
        fault: What befalls it.
        hidden_until: By list and get.
        deletes: DELETEs and ``terminate`` actions that reached it.
        undead_until: A DELETE that was answered with 204 does not end it before.
        terminated_at: When it was gone for the API.
    """

    name: str
    asked: dict[str, Any]
    cloud: str
    place: str | None
    usd_per_hour: float
    created_at: float
    folder: Path
    id: str = field(default_factory=new_id)
    key: str = field(default_factory=lambda: f"rpa_pod_{secrets.token_hex(20)}", repr=False)
    status: Status = "PROVISIONING"
    started_at: float | None = None
    terminated_at: float | None = None
    locked: bool = False
    template: str | None = None
    global_networking: bool = False
    foreign: bool = False
    endpoint: str | None = None
    version: int | None = None
    fault: Fault | None = None
    hidden_until: Mapping[str, float] = field(default_factory=dict)
    deletes: int = 0
    undead_until: float | None = None
    restarts: int = 0
    meter: Meter = field(default_factory=Meter)
    process: PodProcess | None = field(default=None, repr=False)
    log: Log = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder /= self.id
        self.log = Log(self.folder / "log")

    @property
    def env(self) -> dict[str, str]:
        """Its environment, as it was asked for."""
        return dict(self.asked.get("env", {}))

    @property
    def gone(self) -> bool:
        """Whether the API knows it no more."""
        return self.terminated_at is not None

    def visible(self, where: str, now: float) -> bool:
        """Whether a list or a get shows it."""
        return not self.gone and self.endpoint is None and now >= self.hidden_until.get(where, 0.0)

    def port(self, private: int) -> int | None:
        """The port of this machine behind one of its HTTP ports, while it is served."""
        if f"{private}/http" not in self.asked.get("ports", ()) or self.status != "RUNNING":
            return None
        return None if self.process is None else self.process.port()
