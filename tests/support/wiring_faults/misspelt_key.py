"""A key that the typed dict does not have."""

from dataclasses import dataclass
from typing import Literal

from prefect import flow
from typing_extensions import TypedDict

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
