"""Maps that collect their failures, and flows that take them apart before they go on."""

from dataclasses import dataclass

from prefect import flow

from conduit import LMLite, block
from conduit.dataflow import ItemFailure


@dataclass
class Ticket:
    summary: str


lm = LMLite("conduit/tiny")


@lm.block
def triage(message: str) -> Ticket:
    """Classify a support message."""


@block
def save(ticket: Ticket) -> str:
    return ticket.summary


@block
def report(lines: list[str]) -> int:
    return len(lines)


@flow
def kept_apart(messages: list[str]) -> list[str]:
    results = triage.map(messages, errors="collect")
    tickets = [result for result in results if not isinstance(result, ItemFailure)]
    failed = [str(result.error) for result in results if isinstance(result, ItemFailure)]
    report(failed)
    return save.map(tickets)


@flow
def raised_if_any(messages: list[str]) -> list[str]:
    results = triage.map(messages, errors="collect")
    failed = [result for result in results if isinstance(result, ItemFailure)]
    if failed:
        raise RuntimeError(f"{len(failed)} failed")
    return save.map(results)


@flow
def in_a_loop(messages: list[str]) -> list[str]:
    tickets: list[Ticket] = []
    for message, result in zip(messages, triage.map(messages, errors="collect"), strict=True):
        if isinstance(result, ItemFailure):
            print(message, result.error)
            continue
        tickets.append(result)
    return save.map(tickets)


@flow
def by_ending(messages: list[str], strict: bool = True) -> list[str]:
    results = triage.map(messages, errors="raise" if strict else "collect")
    return save.map([result for result in results if isinstance(result, Ticket)])


@flow
def into_a_ledger(messages: list[str]) -> None:
    triage.map(messages, errors="collect", ledger="tickets")
