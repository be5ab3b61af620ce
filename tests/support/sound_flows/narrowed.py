"""Values that may be None, tested for in every way that people use."""

from dataclasses import dataclass

from prefect import flow

from conduit import LMLite, block
from conduit.blocks import http_get


@dataclass
class Ticket:
    summary: str
    order: int | None
    customer: str | None = None


lm = LMLite("conduit/tiny")


@lm.block
def triage(message: str) -> Ticket:
    """Classify a support message."""


@block
def lookup(order: int) -> str:
    return f"order {order}"


@block
def find(customer: str) -> Ticket | None:
    return None if customer == "nobody" else Ticket(customer, 1)


def is_known(ticket: Ticket | None) -> bool:
    return ticket is not None


@flow
def early_return(url: str) -> str | None:
    ticket = triage(http_get(url).text)
    if ticket.order is None:
        return None
    return lookup(ticket.order)


@flow
def truth(url: str, customer: str | None = None) -> list[str]:
    ticket = triage(http_get(url).text)
    found = [lookup(ticket.order)] if ticket.order else []
    if customer and (other := find(customer)) and other.order is not None:
        found.append(lookup(other.order))
    name = customer or ticket.customer or "nobody"
    known = find(name)
    if not known:
        raise LookupError(name)
    return [*found, known.summary]


@flow
def by_helper(customer: str) -> str:
    ticket = find(customer)
    if is_known(ticket):
        return lookup_of(ticket)
    return "unknown"


@block
def lookup_of(ticket: Ticket) -> str:
    return ticket.summary


@flow
def in_comprehension(urls: list[str]) -> list[str]:
    tickets = triage.map(urls)
    orders = [ticket.order for ticket in tickets if ticket.order is not None]
    return lookup.map(orders)


@flow
def asserted(customer: str) -> str:
    ticket = find(customer)
    assert ticket is not None, customer
    order = ticket.order if ticket.order is not None else 0
    return lookup(order)


@flow
def in_a_loop(customers: list[str]) -> list[str]:
    known = []
    for ticket in find.map(customers):
        if ticket is None or ticket.order is None:
            continue
        known.append(ticket.order)
    return lookup.map(known)


@flow
def matched(customer: str) -> str:
    match find(customer):
        case Ticket(order=int() as order):
            return lookup(order)
        case None:
            return "nobody"
        case ticket:
            return ticket.summary
