"""A key that the typed dict does not have."""

from desk import split
from prefect import flow
from typing_extensions import TypedDict

from conduit import block
from conduit.blocks import http_get


class Row(TypedDict):
    id: int
    message: str


@block
def first(page: str) -> Row:
    return {"id": 1, "message": page}


@flow
def inbox(url: str) -> list[str]:
    row = first(http_get(url).text)
    return split(row["text"])  # FAULT check.key
