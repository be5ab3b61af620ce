"""One argument more than the block takes."""

from desk import split
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str, encoding: str) -> list[str]:
    return split(http_get(url).text, encoding)  # FAULT check.arguments
