"""A model's id that can be none."""

from prefect import flow

from conduit import LMLite
from conduit.blocks import http_get

other = LMLite("qwen3:8b")  # FAULT check.model


@other.block
def summarise(message: str) -> str:
    """Summarise in one sentence."""


@flow
def inbox(url: str) -> str:
    return summarise(http_get(url).text)
