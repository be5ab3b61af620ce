"""A flow of many small items under a ledger: ``python steady_flow.py ITEMS CALLS [PATIENCE_S]``.

Each call of an item adds a line to the file ``CALLS``. It prints what the map in the flow gave, or raised, and at
last what the flow itself did.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from prefect import flow

from conduit import block
from conduit.dataflow import server

calls = Path(sys.argv[2])


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


@block
def squared(number: int) -> int:
    with calls.open("a") as file:
        file.write(f"{number}\n")
    time.sleep(0.25)
    return number * number


@flow
def steady(items: int) -> int:
    try:
        total = sum(squared.map(range(items), batch=2, ledger="steady"))
    except BaseException as error:
        say(map=getattr(error, "code", type(error).__name__), block=getattr(error, "block", None))
        raise
    say(map=total)
    return total


if __name__ == "__main__":
    if len(sys.argv) > 3:
        server._RESTART_S = server._HOLDS_S = float(sys.argv[3])
    try:
        state = steady(int(sys.argv[1]), return_state=True)
        say(flow=state.type.value, run=str(state.state_details.flow_run_id))
    except Exception as error:
        say(flow=getattr(error, "code", type(error).__name__))
        raise SystemExit(1) from error
