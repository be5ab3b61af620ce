"""An answer longer than the model's context."""

from desk import lm
from prefect import flow

from conduit.blocks import http_get


@lm.block(max_tokens=4096)
def summarise(message: str) -> str:  # FAULT check.prompt
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
