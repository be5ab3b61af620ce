"""How a simulator is set up: one value, from the command line, from a test, or over a pipe as JSON."""

from __future__ import annotations

import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from conduit.sim.runpod.faults import Fault

Seconds = Annotated[float, Field(ge=0)]


def _key() -> str:
    return f"sim_{secrets.token_hex(24)}"


class Options(BaseModel):
    """All of it.

    Attributes:
        port: 0 for a free one.
        api_key: What callers show.
        admin_key: What those show who inject faults and read the state.
        max_pods: How many pods and workers may run; beyond it there is no capacity.
        provision_s: How long a pod is PROVISIONING.
        start_s: How long it is STARTING, with its process running already.
        stop_s: How long a pod's process may take to end by itself.
        server: Command that is run in a pod whose environment has a configuration for gpu_server; None is this
            environment's gpu_server.
        worker: Command of a serverless worker on RunPod's own SDK; None runs ``server`` and passes jobs on to it.
        model: What is loaded in place of every model: ``conduit/tiny``, or a folder in the Hugging Face layout.
        price_factor: All prices are multiplied by it, so that a test of seconds sees cents.
        faults: What waits from the start.
        foreign: Pods of somebody else, there from the start.
        sold_out: GPU types of which there are none, and the catalogue says so.
        proxy_cut_s: After how long without a byte the proxy gives up on a response; None for never. The real one's
            is 100.
        requests_per_minute: Of one key; None for no limit.
        container_restarts: A pod whose process ended starts it again and goes on costing, as the real ones do;
            otherwise it is EXITED.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    api_key: str = Field(default_factory=_key, repr=False)
    admin_key: str = Field(default_factory=_key, repr=False)
    max_pods: Annotated[int, Field(ge=0)] = 8
    provision_s: Seconds = 0.2
    start_s: Seconds = 0.2
    stop_s: Seconds = 3.0
    server: tuple[str, ...] | None = None
    worker: tuple[str, ...] | None = None
    model: str = "conduit/tiny"
    price_factor: Annotated[float, Field(gt=0)] = 1.0
    faults: tuple[Fault, ...] = ()
    foreign: Annotated[int, Field(ge=0)] = 0
    sold_out: tuple[str, ...] = ()
    proxy_cut_s: Annotated[float, Field(gt=0)] | None = None
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    container_restarts: bool = False
