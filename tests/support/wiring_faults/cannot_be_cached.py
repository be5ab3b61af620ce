"""A result that has no form in JSON is to be cached."""

from pathlib import Path
from typing import TextIO

from prefect import flow

from conduit import block


@block(cache=True)
def opened(name: str) -> TextIO:  # FAULT check.not_cacheable
    return Path(name).open()


@flow
def inbox(url: str) -> str:
    return opened(url).name
