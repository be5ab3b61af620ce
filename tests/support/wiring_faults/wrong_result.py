"""A block returns what its own annotation refuses."""

from desk import split
from prefect import flow

from conduit import block
from conduit.blocks import http_get


@block
def count(messages: list[str]) -> int:
    return [message.upper() for message in messages]  # FAULT check.result_type


@flow
def inbox(url: str) -> int:
    return count(split(http_get(url).text))
