"""The field of a value is asked of its handle."""

from desk import triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> str:
    pending = triage.submit(http_get(url).text)
    return pending.summary  # FAULT check.attribute
