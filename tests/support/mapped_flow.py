"""A flow over many rows, as a user's program has it; run as a program whose end may come at any moment."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal

from prefect import flow

from conduit import LMLite, ModelConfig

REPLICAS, CONCURRENCY = 3, 8
LEDGER = "rows"
MODEL = "counted"


@dataclass
class Ticket:
    topic: Literal["billing", "bug"]
    urgent: bool


lm = LMLite(
    models=[
        ModelConfig(
            MODEL,
            engine="openai",
            url=os.environ.get("COUNTING_URL", "http://127.0.0.1:1/v1"),
            max_model_len=512,
            max_model_concurrency=CONCURRENCY,
        )
    ],
    replicas=REPLICAS,
    idle_timeout=120,
)


@lm.block
def read_row(row: str) -> Ticket:
    """Classify a row."""


def row(number: int) -> str:
    """One in a hundred is refused."""
    return f"row {number}" + (" poison" if number % 100 == 37 else "")


@flow
def many_rows(count: int) -> None:
    read_row.map([row(number) for number in range(count)], ledger=LEDGER, errors="finish")


if __name__ == "__main__":
    many_rows(int(sys.argv[1]))
