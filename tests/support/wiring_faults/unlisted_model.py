"""A model that the shipped catalog does not list."""

from prefect import flow

from conduit import LMLite
from conduit.blocks import http_get

other = LMLite("Qwen/Qwen3-8Bee")  # FAULT check.model_unknown


@other.block
def summarise(message: str) -> str:
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
