"""What one call of a block in a flow costs, beside one of Prefect's own task of the same function.

Both run in one flow run against a real server, in turn, in short rounds. The ratio is the median of those of the
rounds, since machines do not hold still from one to the next; it is of the process's CPU time a call, which counts
what Prefect and the run log do in threads of their own.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from _prefect import server
from _report import report

from conduit import block

BAR = 1.15
CALLS, ROUNDS = 25, 60


@dataclass
class Order:
    id: int
    customer: str
    total: float


def priced(order: Order, discount: float) -> Order:
    """A function that does next to nothing, so that only the call is timed."""
    return Order(order.id, order.customer, order.total * (1 - discount))


def main() -> None:
    with server():
        from prefect import flow, task
        from prefect.cache_policies import NO_CACHE

        logging.getLogger("prefect").setLevel(logging.WARNING)
        forms: dict[str, Callable[[Order, float], Order]] = {
            "task": task(priced, cache_policy=NO_CACHE),
            "block": block(priced),
        }
        cpu: dict[str, list[float]] = {name: [] for name in forms}
        wall: dict[str, list[float]] = {name: [] for name in forms}

        @flow(validate_parameters=False)
        def in_turn() -> None:
            order = Order(7, "Ada", 12.5)
            for form in forms.values():
                form(order, 0.1)
            for round_number in range(ROUNDS):
                for name in sorted(forms, reverse=bool(round_number % 2)):
                    begun, burnt = time.perf_counter(), time.process_time()
                    for _ in range(CALLS):
                        forms[name](order, 0.1)
                    cpu[name].append((time.process_time() - burnt) / CALLS)
                    wall[name].append((time.perf_counter() - begun) / CALLS)

        in_turn()
    for name in forms:
        print(
            f"{name:6} {statistics.median(cpu[name]) * 1e3:6.2f} ms of CPU a call,"
            f" {statistics.median(wall[name]) * 1e3:6.2f} ms of time"
        )
    report("block_in_flow", ratio(cpu), BAR, "lower", wall_ratio=round(ratio(wall), 3))


def ratio(found: dict[str, list[float]]) -> float:
    return statistics.median(b / t for b, t in zip(found["block"], found["task"], strict=True))


if __name__ == "__main__":
    main()
