"""A number goes where a text belongs."""

from desk import split
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[str]:
    return split(http_get(url).status)  # FAULT check.edge_type
