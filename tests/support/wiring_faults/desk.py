"""What the faulty flows beside this file have in common: the types and blocks that they wire wrongly."""

from dataclasses import dataclass
from typing import Literal

from conduit import LMLite, block


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
