"""What a block costs outside a flow, beside pydantic's own validated call of the same function.

Both are timed in turn, in short rounds, and the ratio of the medians is reported.
"""

from __future__ import annotations

import statistics
import sys
import timeit
from dataclasses import dataclass

from _report import report
from pydantic import validate_call

from conduit import block

BAR = 10.0
CALLS, ROUNDS = 2_000, 25


@dataclass
class Order:
    id: int
    customer: str
    total: float


def priced(order: Order, discount: float) -> Order:
    """A function that does next to nothing, so that only the call is timed."""
    return Order(order.id, order.customer, order.total * (1 - discount))


def main() -> None:
    order = Order(7, "Ada", 12.5)
    forms = {
        "plain": priced,
        "validate_call": validate_call(validate_return=True)(priced),
        "block": block(priced),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    for form in forms.values():
        form(order, 0.1)
    for _ in range(ROUNDS):
        for name, form in forms.items():
            times[name].append(timeit.timeit(lambda form=form: form(order, 0.1), number=CALLS) / CALLS)
    median = {name: statistics.median(found) for name, found in times.items()}
    for name, seconds in median.items():
        print(f"{name:15} {seconds * 1e6:8.2f} µs a call")
    report(
        "block_call",
        median["block"] / median["validate_call"],
        BAR,
        "lower",
        ok="prefect" not in sys.modules,
        prefect_imported="prefect" in sys.modules,
        block_us=round(median["block"] * 1e6, 2),
        validate_call_us=round(median["validate_call"] * 1e6, 2),
    )


if __name__ == "__main__":
    main()
