"""Collected failures go on as if they were tickets."""

from desk import Reply, answer, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Reply]:
    tickets = triage.map(split(http_get(url).text), errors="collect")
    return answer.map(tickets)  # FAULT check.item_failure
