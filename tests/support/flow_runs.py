"""Flow runs as the Prefect server knows them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

DEADLINE_S = 30.0


@dataclass
class Run:
    """What the server knows of a flow run."""

    id: str
    state: str
    tasks: list[dict[str, Any]]
    nodes: dict[str, dict[str, Any]]

    @property
    def names(self) -> list[str]:
        return sorted(task["name"] for task in self.tasks)

    def edges(self) -> set[tuple[str, str]]:
        """Edges of the graph, by the names of blocks and batches."""
        labels = {key: plain(node["label"]) for key, node in self.nodes.items()}
        return {
            (labels[parent["id"]], labels[key])
            for key, node in self.nodes.items()
            for parent in node["parents"]
        }


def plain(label: str) -> str:
    """A label without the suffix that Prefect adds to single calls."""
    return label if label.endswith("]") else label.rpartition("-")[0]


Runner = Callable[..., tuple[Any, Run]]


def known(api: str, run_id: str) -> Run:
    """What the server knows of a run, once all of it has arrived there."""
    deadline = time.monotonic() + DEADLINE_S
    with httpx.Client(base_url=api, timeout=10) as client:
        while True:
            state = client.get(f"/flow_runs/{run_id}").json()["state"]["type"]
            tasks = client.post(
                "/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}, "limit": 200}
            ).json()
            graph = client.get(f"/flow_runs/{run_id}/graph-v2").json()
            # Task states travel by an event stream and arrive after the flow's own end.
            ended = all(task["state_type"] in ("COMPLETED", "FAILED", "CRASHED") for task in tasks)
            if (ended and len(graph["nodes"]) == len(tasks) and _steady(client, run_id, len(tasks))) or (
                time.monotonic() > deadline
            ):
                return Run(run_id, state, tasks, dict(graph["nodes"]))
            time.sleep(0.2)


def _steady(client: httpx.Client, run_id: str, seen: int) -> bool:
    time.sleep(0.5)
    body = {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 200}
    return len(client.post("/task_runs/filter", json=body).json()) == seen
