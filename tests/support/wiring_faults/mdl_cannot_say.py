"""A model is asked for what has no shape."""

from desk import lm
from prefect import flow

from conduit.blocks import http_get


@lm.block
def guess(message: str) -> dict[str, object]:  # FAULT check.mdl_type
    """Guess the facts."""


@flow
def inbox(url: str) -> None:
    guess(http_get(url).text)
