"""The laws of provisioning on 500 random sequences of faults, crashes, cancellations and restarts.

The same laws are tried on fewer sequences by the tests: ``tests/support/provisioning_laws.py``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from _report import report
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.provisioning_laws import Laws

SEQUENCES, STEPS = 500, 30


class Counted(Laws):
    """Counts what was tried."""

    sequences = machines = deaths = 0

    def teardown(self) -> None:
        if hasattr(self, "cloud"):
            Counted.sequences += 1
            Counted.machines += len(self.cloud.machines) - len(self.others)
            Counted.deaths += self.births - len(self.controllers)
        super().teardown()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=SEQUENCES)
    given = parser.parse_args()
    logging.getLogger("conduit").setLevel(logging.CRITICAL)  # faults are what this is about
    limits = settings(
        max_examples=given.sequences,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    began, broken = time.perf_counter(), 0
    try:
        run_state_machine_as_test(Counted, settings=limits)
    except Exception as error:
        print(error)
        broken = 1
    report(
        "provisioning_laws",
        broken,
        0,
        "lower",
        ok=Counted.sequences >= given.sequences,
        sequences=Counted.sequences,
        machines=Counted.machines,
        controllers_that_died=Counted.deaths,
        took_s=round(time.perf_counter() - began, 1),
    )


if __name__ == "__main__":
    main()
