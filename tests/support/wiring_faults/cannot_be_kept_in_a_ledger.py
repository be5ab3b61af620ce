"""The results of a map with a ledger have no form in JSON."""

from desk import split
from prefect import flow

from conduit import block
from conduit.blocks import http_get


class Index:
    def __init__(self, text: str) -> None:
        self.words = set(text.split())


@block
def compiled(text: str) -> Index:
    return Index(text)


@flow
def inbox(url: str) -> int:
    return len(compiled.map(split(http_get(url).text), ledger="patterns"))  # FAULT check.not_cacheable
