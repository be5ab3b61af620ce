"""Failures are collected, and nobody looks at them."""

from desk import answer, send, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> None:
    replies = answer.map(triage.map(split(http_get(url).text)))
    send.map(replies, address="desk@example.org", errors="collect")  # FAULT check.failures_unseen
