"""A block that does not say what it returns."""

from desk import split
from prefect import flow

from conduit import block
from conduit.blocks import http_get


@block
def cleaned(text: str):  # FAULT check.unannotated
    return text.strip()


@flow
def inbox(url: str) -> list[str]:
    return split(cleaned(http_get(url).text))
