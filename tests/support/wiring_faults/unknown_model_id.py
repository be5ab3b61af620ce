"""A block asks for a model that its LMLite does not have."""

from desk import lm
from prefect import flow

from conduit.blocks import http_get


@lm.block(model_id="Qwen/Qwen3-8B")  # FAULT check.model_id
def summarise(message: str) -> str:
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
