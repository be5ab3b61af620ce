"""What looks wrong and is meant: silenced by name, expected by an except, or within a test."""

from contextlib import suppress

from prefect import flow

from conduit import block
from conduit.errors import BlockInputError, ConduitError


@block
def double(number: int) -> int:
    return 2 * number


@flow
def refused(texts: list[str]) -> list[int]:
    try:
        double("seven")
    except BlockInputError as error:
        print(error.parameter)
    with suppress(ConduitError):
        double(None)
    found = []
    for text in texts:
        found.append(double(text))  # conduit: ignore[check.many_tasks, edge_partly]
    double(
        texts[0],  # conduit: ignore
    )
    return found
