"""Every night: read the messages that came into a folder, keep a ticket of each, and count them.

A run takes the files that have no ticket yet, so that one more run costs nothing, and a message that could not be
read is tried again the next night. All runs share one deployment of replicas: the first to need it starts it, those
that come while it is warm find it ready, and when it was not used for a quarter of an hour it ends by itself.

``prefect deploy --all`` schedules it (``deployments/prefect.yaml``); ``python flows/nightly_tickets.py [FOLDER]
[DATABASE]`` runs it now. ``TICKETS_PROVIDER`` names where the replicas run: ``local``, ``runpod``, ….
"""

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from prefect import flow

from conduit import LMLite, ModelConfig, block
from conduit.blocks import duckdb_insert, duckdb_query
from conduit.dataflow import ItemFailure, require_server


@dataclass
class Message:
    file: str
    text: str


@dataclass
class Ticket:
    order_id: str
    amount: float | None
    topic: Literal["billing", "delivery", "return", "cancel"]
    urgent: bool


@dataclass
class Filed(Ticket):
    file: str


@dataclass
class Night:
    ended_at: datetime
    messages: int
    urgent: int
    failed: int


lm = LMLite(
    models=[ModelConfig("conduit/tiny", max_model_concurrency=16)],
    compute_provider=os.environ.get("TICKETS_PROVIDER", "local"),
    replicas=2,
    idle_timeout=timedelta(minutes=15),
    name="tickets",
)


@block
def unread(folder: str, known: list[str]) -> list[Message]:
    """The messages of a folder that have no ticket, by name."""
    files = sorted(Path(folder).glob("*.txt"))
    return [Message(file.name, file.read_text()) for file in files if file.name not in known]


@lm.block
def read_ticket(message: str) -> Ticket:
    """Read a support message."""


@flow
def nightly_tickets(folder: str, database: str = "nights.duckdb") -> Night:
    """Adds the new messages of a folder to the table `tickets`, and a line to the table `nights`."""
    duckdb_insert(database, "tickets", [], row_type=Filed)  # makes the table, the first night
    known = duckdb_query(database, "SELECT file FROM tickets", row_type=str)
    messages = unread(folder, known)

    tickets = read_ticket.map([message.text for message in messages], batch=16, errors="collect")
    filed = [
        Filed(file=message.file, **vars(ticket))
        for message, ticket in zip(messages, tickets, strict=True)
        if not isinstance(ticket, ItemFailure)
    ]
    duckdb_insert(database, "tickets", filed, row_type=Filed)

    night = Night(
        ended_at=datetime.now(UTC),
        messages=len(messages),
        urgent=sum(ticket.urgent for ticket in filed),
        failed=len(messages) - len(filed),
    )
    duckdb_insert(database, "nights", [night])
    return night


if __name__ == "__main__":
    require_server()  # without one Prefect would start its own, for minutes
    print(nightly_tickets(*(sys.argv[1:] or ["flows/messages"])))
