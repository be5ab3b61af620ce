"""More context than the model was made for."""

from prefect import flow

from conduit import LMLite, ModelConfig
from conduit.blocks import http_get

long = LMLite([ModelConfig("Qwen/Qwen3-8B", max_model_len=400_000)])  # FAULT check.resources


@long.block
def summarise(message: str) -> str:
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
