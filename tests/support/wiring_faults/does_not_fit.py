"""A model that the GPU does not hold."""

from prefect import flow

from conduit import GPUS, ComputeProvider, LMLite, ModelConfig
from conduit.blocks import http_get

rented = LMLite(  # FAULT check.resources
    [ModelConfig("Qwen/Qwen3-32B", max_model_len=8192)],
    ComputeProvider.RUNPOD,
    gpu=GPUS.NVIDIA_L4,
    num_gpus=1,
)


@rented.block
def summarise(message: str) -> str:
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
