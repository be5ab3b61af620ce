"""What RunPod is asked for: the bodies of the requests that create a pod or a serverless endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from conduit.compute import environment
from conduit.compute.runpod.answers import PROVIDER
from conduit.errors import ProviderRejected, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

    from conduit.compute.base import NodeSpec, Offering
    from conduit.compute.owner import Owner

VOLUME_PATH = "/runpod-volume"
PORT = 8000
_ONLY_HERE = ("announce", "tls_certificate", "tls_key", "log_dir")
_LIMITS = (
    "idle_timeout_s",
    "max_lifetime_s",
    "on_expiry",
    "host_api",
)  # RunPod starts and ends workers itself
_IDLE_S = (1, 3600)  # what RunPod takes for a worker
_QUEUE_DELAY_S = 4.0
_SHIPPED = "conduit/tiny"


@dataclass(frozen=True)
class NodeDefaults:
    """What every node of an account gets.

    Attributes:
        image: Container image of the server, where the node's spec names none; None for none.
        serverless_image: That of the worker of an endpoint.
        volume: Network volume for the weights.
        disk_gb: Of the container.
        min_cuda: Least CUDA version of the machine's driver.
        api_url: Where a pod asks for its own end.
        hf_token: For gated models.
    """

    image: str | None
    serverless_image: str | None
    volume: str | None
    disk_gb: int
    min_cuda: str | None
    api_url: str
    hf_token: SecretStr | None


@dataclass(frozen=True)
class Order:
    """A request that creates something.

    Attributes:
        body: Its JSON.
        secrets: What of it is never to be shown.
    """

    body: dict[str, Any]
    secrets: tuple[str, ...]


def pod(spec: NodeSpec, owner: Owner, defaults: NodeDefaults) -> Order:
    """A pod on the one machine that the spec names.

    Raises:
        ProviderRejected: It names none, or one that has no network volumes.
    """
    offering = _offering(spec)
    own: dict[str, Any] = {
        "host": "0.0.0.0",  # noqa: S104 - RunPod's proxy reaches it from outside the container
        "port": PORT,
        "on_expiry": "end_host",
        "host_api": {"kind": PROVIDER, "url": defaults.api_url},
    }
    order = _container(spec, owner, defaults, own)
    order.body["ports"] = [f"{PORT}/http"]
    order.body["cloud"] = "SECURE" if offering.secure else "COMMUNITY"
    order.body["gpu"] = {"id": offering.gpu, "count": offering.gpu_count, **_cuda(defaults)}
    if offering.region is not None:
        order.body["dataCenterIds"] = [offering.region]
    if defaults.volume is not None:
        if not offering.secure:
            raise ProviderRejected(
                f"{offering.name} is in RunPod's community cloud, which has no network volumes.",
                hint="Ask for a machine of the secure cloud, or unset CONDUIT_RUNPOD_VOLUME.",
                provider=PROVIDER,
            )
        order.body["mounts"] = {"network": [{"volumeId": defaults.volume, "path": VOLUME_PATH}]}
    return order


def endpoint(spec: NodeSpec, owner: Owner, defaults: NodeDefaults, pool: str, others: Sequence[str]) -> Order:
    """A serverless endpoint on the spec's GPU type: no worker while nobody asks.

    Args:
        spec: Of the node.
        owner: Whose it is.
        defaults: What every node gets.
        pool: The GPU type's pool.
        others: The other types of that pool, on which it must not run.

    Raises:
        ProviderRejected: The spec names no machine.
    """
    offering = _offering(spec)
    order = _container(spec, owner, defaults, {"host": "127.0.0.1", "port": 0}, without=_LIMITS)
    idle_s = spec.config.get("idle_timeout_s") or _IDLE_S[1]
    worker: dict[str, Any] = {
        "type": "QUEUE",
        "gpu": {"pools": [pool], "count": offering.gpu_count, **_cuda(defaults)},
        "workers": {
            "min": 0,
            "max": spec.max_workers,
            "idleTimeout": int(min(max(idle_s, _IDLE_S[0]), _IDLE_S[1])),
        },
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": _QUEUE_DELAY_S},
    }
    if others:
        worker["gpu"]["excludedTypes"] = list(others)
    order.body.update(worker)
    if offering.region is not None:
        order.body["dataCenterIds"] = [offering.region]
    if defaults.volume is not None:
        order.body["networkVolumes"] = [defaults.volume]
    return order


def _container(
    spec: NodeSpec, owner: Owner, defaults: NodeDefaults, own: dict[str, Any], without: Sequence[str] = ()
) -> Order:
    left_out = {*_ONLY_HERE, *without}
    config = {name: value for name, value in spec.config.items() if name not in left_out} | own
    _check_models(config, defaults)
    if defaults.volume is not None:
        config["model_cache"] = f"{VOLUME_PATH}/models"
    hidden = environment.secrets(owner, spec)
    if defaults.hf_token is not None:
        hidden["HF_TOKEN"] = defaults.hf_token.get_secret_value()
    body = {
        "name": environment.name(spec.owner, spec.node_id),
        "image": _image(spec, defaults),
        "disk": defaults.disk_gb,
        "env": {
            **environment.tags(spec),
            environment.CONFIG_VARIABLE: json.dumps(config, separators=(",", ":")),
            **hidden,
        },
    }
    return Order(body, tuple(hidden.values()))


def _image(spec: NodeSpec, defaults: NodeDefaults) -> str:
    own = spec.image or (defaults.serverless_image if spec.serverless else defaults.image)
    if own is not None:
        return own
    if _is_simulated(defaults):
        return "conduit-gpu-server"  # nothing is pulled
    variable = "CONDUIT_RUNPOD_SERVERLESS_IMAGE" if spec.serverless else "CONDUIT_RUNPOD_IMAGE"
    raise ProviderUnavailable(
        "RunPod's machines need a container image of the server, and none is named.",
        hint=f"Build it from gpu_server/Dockerfile, push it where RunPod can pull it, and set {variable}.",
    )


def _check_models(config: Mapping[str, Any], defaults: NodeDefaults) -> None:
    loaded = {model.get("source") or model["model_id"] for model in config.get("models", ())}
    if _SHIPPED in loaded and not _is_simulated(defaults):
        raise ProviderRejected(
            f"{_SHIPPED} comes with Conduit and is on no hub: a rented machine cannot load it.",
            hint="Name a model of the Hugging Face hub, or try it with `conduit sim runpod`.",
            provider=PROVIDER,
        )


def _is_simulated(defaults: NodeDefaults) -> bool:
    # The settings take plain http for this machine alone.
    return urlsplit(defaults.api_url).scheme == "http"


def _cuda(defaults: NodeDefaults) -> dict[str, str]:
    return {} if defaults.min_cuda is None else {"minCudaVersion": defaults.min_cuda}


def _offering(spec: NodeSpec) -> Offering:
    if spec.offering is None:
        raise ProviderRejected(
            f"Node {spec.node_id} names no machine, and RunPod has many.",
            hint="Give one of `RunPodProvider.offerings`.",
            provider=PROVIDER,
        )
    return spec.offering
