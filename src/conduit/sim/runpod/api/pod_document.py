"""A pod as the API shows it."""

from __future__ import annotations

from typing import Any

from conduit.sim.runpod.catalog import CUDA_VERSIONS, memory_gb
from conduit.sim.runpod.pods.pod import ACTIONS, Pod
from conduit.sim.runpod.texts import moment

_COSTS = ("PROVISIONING", "STARTING", "RUNNING")


def document(pod: Pod, now: float) -> dict[str, Any]:
    """All that the contract asks for."""
    asked = pod.asked
    shown: dict[str, Any] = {
        "id": pod.id,
        "name": pod.name,
        "status": pod.status,
        "actions": list(ACTIONS[pod.status]),
        "image": asked.get("image", ""),
        "args": asked.get("args", ""),
        "disk": asked.get("disk", 50),
        "mounts": asked.get("mounts", {}),
        "ports": asked.get("ports", []),
        "env": pod.env,
        "registry": asked.get("registry"),
        "cloud": pod.cloud,
        "dataCenterId": pod.place,
        "cudaVersion": CUDA_VERSIONS[-1] if "gpu" in asked and pod.status == "RUNNING" else None,
        "ssh": {"proxy": None, "direct": None},
        "template": pod.template,
        "cost": pod.usd_per_hour if pod.status in _COSTS else 0.0,
        "locked": pod.locked,
        "globalNetworking": {"enabled": pod.global_networking},
        "runtime": _runtime(pod, now),
        "createdAt": moment(pod.created_at),
        "startedAt": None if pod.started_at is None else moment(pod.started_at),
    }
    if "gpu" in asked:
        shown["gpu"] = asked["gpu"]
    else:
        shown["cpu"] = {**asked["cpu"], "memory": memory_gb(asked["cpu"])}
    return shown


def _runtime(pod: Pod, now: float) -> dict[str, Any] | None:
    if pod.status != "RUNNING" or pod.started_at is None:
        return None
    privates = [int(port.partition("/")[0]) for port in pod.asked.get("ports", ()) if port.endswith("/http")]
    return {
        "uptime": int(now - pod.started_at),
        "gpus": [{"util": 0, "memoryUtil": 0}] * pod.asked.get("gpu", {}).get("count", 0),
        "cpu": {"util": 0},
        "memory": {"util": 0},
        "ports": [
            {"private": private, "public": pod.port(private), "type": "http", "ip": "127.0.0.1"}
            for private in privates
        ],
    }
