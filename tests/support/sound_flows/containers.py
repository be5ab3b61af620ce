"""Data on its way through Python: unpacked, sorted, grouped, joined, gathered in loops."""

import itertools
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import NamedTuple

from prefect import flow

from conduit import LMLite, block


@dataclass
class Ticket:
    topic: str
    summary: str


class Scored(NamedTuple):
    ticket: Ticket
    score: float


lm = LMLite("conduit/tiny")


@lm.block
def triage(message: str) -> Ticket:
    """Classify a support message."""


@block
def score(ticket: Ticket) -> Scored:
    return Scored(ticket, 0.5)


@block
def digest(topic: str, summaries: list[str]) -> str:
    return f"{topic}: {summaries}"


@block
def best(tickets: list[Ticket], most: int = 3) -> list[Ticket]:
    return tickets[:most]


@flow
def grouped(messages: list[str]) -> list[str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for ticket in triage.map(messages):
        groups[ticket.topic].append(ticket.summary)
    found = []
    for topic in ("billing", "bug"):
        found.append(digest(topic, groups[topic]))
    return found


@flow
def ordered(messages: list[str]) -> list[Ticket]:
    scored = score.map(triage.map(messages))
    tickets = [each.ticket for each in sorted(scored, key=lambda each: -each.score)]
    ticket, points = scored[0]
    top, *rest = tickets
    if points > 0.1:
        tickets = [replace(top, topic="first"), *rest, ticket]
    return best(tickets, most=len(messages) // 2)


@flow
def flattened(pages: list[str]) -> list[Ticket]:
    parts = itertools.chain.from_iterable(page.split("\n") for page in pages)
    by_message = dict(zip(pages, triage.map(list(parts)), strict=False))
    latest = {ticket.topic: ticket for ticket in by_message.values()}
    best([*latest.values()])
    best(list(latest.values()))
    best(tuple(by_message[page] for page in pages))
    name, text = "a,b".split(",")
    triage(f"{name} {text}")
    triage("%s" % name + text)
    triage(pages[0][:100].strip().lower())
    return best([latest.get("bug", Ticket("bug", "none"))])


@flow
def rounds(message: str) -> Ticket:
    ticket = triage(message)
    for _ in range(3):
        ticket = triage(ticket.summary)
    text = message
    while len(text) > 10:
        text = digest(text, [text])
    return triage(text)
