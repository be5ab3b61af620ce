"""``plain_flows``: flows under test run as plain functions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_flows() -> Iterator[None]:
    """Runs flows as plain functions of this process, with no Prefect server, until the block ends.

    Synchronous and asynchronous flows and flows within flows all give their values, and raise their errors;
    parameters are validated as Prefect does it, and Prefect's own tasks are called as functions. There are no
    states, hooks, retries or time limits of a flow. Blocks are called as they are outside of a flow.
    """
    from conduit.dataflow import plain_flows as plain  # brings Prefect

    with plain.plain_flows():
        yield
