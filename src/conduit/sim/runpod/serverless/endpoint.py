"""One serverless endpoint: its settings, releases and jobs, and what the API shows of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conduit.sim.runpod.catalog import memory_gb
from conduit.sim.runpod.pods.pod import Pod, new_id
from conduit.sim.runpod.serverless.jobs import Jobs
from conduit.sim.runpod.texts import moment

CONTAINER = ("image", "args", "disk", "env", "ports", "registry")
# A brace is no sign of a URI: the document's own examples show them bare, against its own format.
_URLS = {
    "run": "run", "runSync": "runsync", "status": "status/%7Bjob_id%7D", "stream": "stream/%7Bjob_id%7D",
    "cancel": "cancel/%7Bjob_id%7D", "retry": "retry/%7Bjob_id%7D", "purgeQueue": "purge-queue", "health": "health",
}  # fmt: skip


@dataclass
class Endpoint:
    """An endpoint.

    Attributes:
        asked: Its settings by the API's names, defaults filled in.
        compute: What a worker is placed on: ``gpu`` with id and count, or ``cpu``.
        usd_per_hour: Of one worker.
        url: Under which its jobs are submitted.
        releases: Newest first.
        stops: Jobs that their workers are to give up, by worker.
        seen: When a worker last took or ended a job, or said that it lives.
    """

    asked: dict[str, Any]
    compute: dict[str, Any]
    usd_per_hour: float
    id: str = field(default_factory=lambda: new_id(10))
    url: str = ""
    created_at: float = field(default_factory=time.time)
    version: int = 1
    releases: list[dict[str, Any]] = field(default_factory=list)
    jobs: Jobs = field(default_factory=Jobs, repr=False)
    stops: dict[str, list[str]] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._release([])

    @property
    def name(self) -> str:
        """As the caller named it."""
        return str(self.asked["name"])

    def change(self, given: Mapping[str, Any]) -> None:
        """Takes over what a PATCH says; what concerns the container makes a new release."""
        diff = [
            {"field": name, "old": self.asked.get(name), "new": value}
            for name, value in given.items()
            if self.asked.get(name) != value
        ]
        self.asked.update(given)
        if any(entry["field"] in (*CONTAINER, "gpu", "cpu") for entry in diff):
            self.version += 1
            self._release(diff)

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = {
            "args": "",
            "disk": 20,
            "env": {},
            "ports": [],
            "registry": None,
            **self.asked,
            "id": self.id,
        }
        shown["createdAt"] = moment(self.created_at)
        if self.asked["type"] == "QUEUE":
            shown["requestUrls"] = {name: f"{self.url}/{path}" for name, path in _URLS.items()}
        else:
            shown["requestUrls"] = {"base": self.url, "health": f"{self.url}/ping"}
        if "gpu" in shown:
            shown["gpu"] = {"count": 1, "allowedCudaVersions": [], "minCudaVersion": None, **shown["gpu"]}
        if "cpu" in shown:
            shown["cpu"] = [{**cpu, "memory": memory_gb(cpu)} for cpu in shown["cpu"]]
        return shown

    def worker_document(self, pod: Pod, now: float) -> dict[str, Any]:
        """One of its workers as the API shows it."""
        return {
            "id": pod.id,
            "status": self.worker_status(pod),
            "isStale": pod.version != self.version,
            "version": pod.version,
            "gpuCount": pod.asked.get("gpu", {}).get("count", 0),
            "image": pod.asked.get("image"),
            "uptimeSeconds": None if pod.started_at is None else int(now - pod.started_at),
            "gpuTypeId": pod.asked.get("gpu", {}).get("id"),
            "dataCenterId": pod.place,
            "startedAt": None if pod.started_at is None else moment(pod.started_at),
        }

    def worker_status(self, pod: Pod) -> str:
        """Its state by its process and its jobs."""
        if pod.status in ("EXITED", "ERROR"):
            return "UNHEALTHY"
        if pod.id not in self.seen:
            return "INITIALIZING"
        return "RUNNING" if self.jobs.running(pod.id) else "IDLE"

    def _release(self, diff: list[dict[str, Any]]) -> None:
        self.releases.insert(
            0,
            {
                "id": new_id(10),
                "version": self.version,
                "source": "MANUAL",
                "buildId": None,
                "createdByUserId": None,
                "workerCount": 0,
                "createdAt": moment(time.time()),
                "diff": diff,
            },
        )
