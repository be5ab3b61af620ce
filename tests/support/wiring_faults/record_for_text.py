"""The whole answer of a server is taken for its text. It stands without its neighbours: tests copy it."""

from dataclasses import dataclass
from typing import Literal

from prefect import flow

from conduit import LMLite, block
from conduit.blocks import http_get


@dataclass
class Ticket:
    topic: Literal["billing", "bug"]
    summary: str
    order: int | None


@dataclass
class Reply:
    subject: str
    body: str


lm = LMLite("conduit/tiny")


@block
def split(page: str) -> list[str]:
    return [part for part in page.split("\n---\n") if part.strip()]


@lm.block
def triage(message: str) -> Ticket:
    """Classify a support message."""


@lm.block
def answer(ticket: Ticket) -> Reply:
    """Write a reply."""


@block
def send(reply: Reply, address: str) -> None:
    print(address, reply.subject)


@block
async def lookup(order: int) -> str:
    return f"order {order}"


@flow
def inbox(url: str) -> list[Ticket]:
    page = http_get(url)
    messages = split(page)  # FAULT check.edge_type
    return triage.map(messages)
