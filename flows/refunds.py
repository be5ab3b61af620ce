"""Every morning: show a person what the night's messages claim, and keep what is granted.

It reads the tickets of ``nightly_tickets.py``, sums up those about billing that are not settled yet, and pauses.
The form in Prefect's UI asks up to which amount to grant; an answer that does not fit is refused there. When nobody
answers within ten hours the run fails, and the claims are there again the next morning.

``prefect deploy --all`` schedules it (``deployments/prefect.yaml``); ``python flows/refunds.py [DATABASE]`` runs it
now.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

from prefect import flow
from pydantic import Field

from conduit import approve, block
from conduit.blocks import duckdb_insert, duckdb_query
from conduit.dataflow import require_server


@dataclass
class Claim:
    file: str
    order_id: str
    amount: float


@dataclass
class Settled(Claim):
    granted: bool
    remark: str


@dataclass
class Decision:
    grant_up_to: Annotated[float, Field(ge=0)]
    remark: str = ""


@block
def summary(claims: list[Claim]) -> str:
    """The claims as a table, for whoever decides."""
    lines = [f"| {claim.file} | {claim.order_id} | {claim.amount:.2f} |" for claim in claims]
    return "\n".join(["| message | order | amount |", "|---|---|---|", *lines])


@flow
async def refunds(database: str = "nights.duckdb") -> int:
    """Adds a line to the table `settled` for each new claim, and returns how many were granted."""
    duckdb_insert(database, "settled", [], row_type=Settled)  # makes the table, the first morning
    claims: list[Claim] = duckdb_query(
        database,
        "SELECT file, order_id, amount FROM tickets WHERE topic = 'billing' AND amount IS NOT NULL"
        " AND file NOT IN (SELECT file FROM settled) ORDER BY amount",
        row_type=Claim,
    )
    if not claims:
        return 0

    decision = await approve(Decision, message=summary(claims), timeout_s=10 * 3600)
    settled = [
        Settled(**vars(claim), granted=claim.amount <= decision.grant_up_to, remark=decision.remark)
        for claim in claims
    ]
    duckdb_insert(database, "settled", settled)
    return sum(claim.granted for claim in settled)


if __name__ == "__main__":
    require_server()  # without one Prefect would start its own, for minutes
    print(asyncio.run(refunds(*sys.argv[1:])))
