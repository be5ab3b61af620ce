"""An inbox put in order: fetch a page of messages, let a model read each, keep the tickets, count them by topic.

``python flows/inbox.py URL [DATABASE]`` runs it on any page whose messages are separated by lines of three hyphens;
Prefect wants a server for that: ``prefect server start`` and ``PREFECT_API_URL``. ``conduit demo`` brings its own
server and page. ``INBOX_MODEL`` names another model, from a folder or the hub.
"""

import os
import sys
from dataclasses import dataclass
from typing import Any, Literal

from prefect import flow

from conduit import ComputeProvider, LMLite, ModelConfig, block
from conduit.blocks import duckdb_insert, duckdb_query, http_get
from conduit.dataflow import require_server


@dataclass
class Ticket:
    order_id: str
    amount: float | None
    topic: Literal["billing", "delivery", "return", "cancel"]
    urgent: bool


lm = LMLite(
    models=[ModelConfig(os.environ.get("INBOX_MODEL", "conduit/tiny"), max_model_concurrency=16)],
    compute_provider=ComputeProvider.LOCAL,
    replicas=2,
)


@block
def split(page: str) -> list[str]:
    return [message for message in page.split("\n---\n") if message.strip()]


@lm.block
def read_ticket(message: str) -> Ticket:
    """Read a support message."""


@flow
def inbox(url: str, database: str = "tickets.duckdb") -> list[dict[str, Any]]:
    """Reads every message of a page into the table `tickets` and returns a line a topic."""
    messages = split(http_get(url).text)
    tickets = read_ticket.map(messages, batch=16)
    duckdb_insert(database, "tickets", tickets, row_type=Ticket)
    return duckdb_query(
        database,
        "SELECT topic, count(*) AS messages, count_if(urgent) AS urgent, sum(amount) AS amount"
        " FROM tickets GROUP BY topic ORDER BY messages DESC, topic",
    )


if __name__ == "__main__":
    require_server()  # without one Prefect would start its own, for minutes
    with lm:
        for line in inbox(*sys.argv[1:]):
            print(line)
