"""Rented replicas from end to end, on a simulated RunPod whose pods are real servers: money, and a pod's death.

- What a run costs, as Conduit reckons it (calls, start and idle time), is the simulator's invoice ± 1 %. The prices
  are a thousand times RunPod's, so that half a minute costs dollars.
- One of two pods is killed under 16 callers: it is replaced within 10 s, and no call fails.
- 200 starts at once, on a budget that pays for 50, reserve 50 at most.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from _report import report

from conduit import GPUS, ComputeProvider, LMLite, ModelConfig, lmlite
from conduit import settings as settings_module
from conduit.errors import BudgetExceeded
from conduit.sim.runpod import Simulator
from conduit.store import Reservation, Store, open_store

MODEL = "Qwen/Qwen3-4B-Instruct-2507"
RUN_S, CALLERS = 30.0, 16
MONEY_BAR, REPLACED_BAR_S = 0.01, 10.0
STARTS, PAID_FOR = 200, 50


@contextmanager
def simulated(**options: object) -> Iterator[Simulator]:
    """A simulator, and this process pointed at it with records of its own."""
    folder = tempfile.mkdtemp(prefix="conduit-bench-")
    try:
        with Simulator(**options) as simulator:
            os.environ.update(simulator.environment())
            os.environ["CONDUIT_DATA_DIR"] = os.environ["CONDUIT_PROJECT"] = folder
            os.environ["CONDUIT_MODEL_ALIASES"] = json.dumps({MODEL: "conduit/tiny"})
            os.environ["CONDUIT_RUNPOD_SETTLE_S"] = os.environ["CONDUIT_RUNPOD_ABSENT_GAP_S"] = "1"
            yield simulator
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rented() -> LMLite:
    model = ModelConfig(MODEL, max_model_len=512, max_model_concurrency=16)
    return LMLite([model], ComputeProvider.RUNPOD, gpu=GPUS.NVIDIA_L4, replicas=2)


class Callers:
    """Threads that ask again as soon as they are answered."""

    def __init__(self, lm: LMLite) -> None:
        self._lm, self._end = lm, threading.Event()
        self.right = 0
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._lm(messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
                self.right += 1
            except BaseException as error:
                self.failures.append(error)


def money() -> dict[str, float]:
    with simulated(price_factor=1000.0) as simulator:
        with rented() as lm, Callers(lm):
            time.sleep(RUN_S)
        settings = settings_module.load()
        open_store(settings).flush()
        (cost,) = lmlite.costs(settings)
        invoice = simulator.state()["invoice_usd"]
    parts = cost.calls_usd + cost.boot_usd + cost.idle_usd
    print(
        f"{cost.calls} calls: {cost.calls_usd:.3f} USD for calls + {cost.boot_usd:.3f} for the start + "
        f"{cost.idle_usd:.3f} idle = {parts:.3f}; invoice {invoice:.3f} USD"
    )
    return {
        "calls": cost.calls,
        "reckoned_usd": parts,
        "invoice_usd": invoice,
        "off": abs(parts / invoice - 1),
    }


def death() -> dict[str, float]:
    with simulated() as simulator, rented() as lm:
        with Callers(lm) as callers:
            time.sleep(2)
            simulator.kill(simulator.state()["living"][0])
            killed_at = time.monotonic()
            while lm.health().replaced == 0 and time.monotonic() - killed_at < 60:
                time.sleep(0.05)
            replaced_s = time.monotonic() - killed_at
            time.sleep(1)
        print(
            f"replaced after {replaced_s:.1f} s, {callers.right} calls right, {len(callers.failures)} failed"
        )
        for failure in callers.failures[:3]:
            print(f"  {type(failure).__name__}: {failure}")
        return {"replaced_s": replaced_s, "right": callers.right, "failed": len(callers.failures)}


def budget() -> int:
    """How many of the starts could reserve."""
    folder = tempfile.mkdtemp(prefix="conduit-bench-")
    store = Store(f"sqlite:///{folder}/conduit.db")
    store.put_deployment("d", project="p", owner="o", provider="runpod", spec={})
    reserved: list[str] = []

    def start(number: int) -> None:
        try:
            store.add_intent(
                f"n{number}",
                deployment_key="d",
                provider="runpod",
                owner="o",
                replica=number,
                usd_per_hour=1.0,
                reserve=Reservation(usd=1.0, deployment_cap_usd=float(PAID_FOR)),
            )
            reserved.append(f"n{number}")
        except BudgetExceeded:
            pass

    threads = [threading.Thread(target=start, args=(number,)) for number in range(STARTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(reserved)} of {STARTS} starts could reserve on a budget for {PAID_FOR}")
    return len(reserved)


def main() -> None:
    spent, died, reserved = money(), death(), budget()
    ok = died["replaced_s"] <= REPLACED_BAR_S and died["failed"] == 0 and reserved == PAID_FOR
    report(
        "rented",
        round(spent["off"], 4),
        MONEY_BAR,
        "lower",
        ok=ok,
        **{name: round(value, 3) for name, value in {**spent, **died}.items()},
        reserved=reserved,
    )


if __name__ == "__main__":
    main()
