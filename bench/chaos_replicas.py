"""Twenty seeds of faults under fifty callers: real replicas of conduit/tiny are killed, frozen and slowed.

Every call must end, within its deadline, in the right value or in one typed error, and none may be answered twice.
A replica that was lost must be back, replaced by this process, within ten seconds. Typed calls and streams are
mixed; the right answers were asked for before, one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from _report import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.replica_chaos import CALLERS, REPLICAS, run_seed

SEEDS = 20
BAR_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("conduit").setLevel(logging.CRITICAL)  # lost replicas are what this is about
    outcomes = []
    print(
        "seed  faults                     calls  right  errors  wrong  late  back (s)           slowest   took"
    )
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CONDUIT_DATA_DIR"] = os.environ["CONDUIT_PROJECT"] = folder
            outcome = asyncio.run(run_seed(seed))
        outcomes.append(outcome)
        back = " ".join(f"{seconds:.1f}" for seconds in outcome.back_s)
        print(
            f"{seed:4}  {' '.join(outcome.faults):25}  {outcome.calls:5}  {outcome.right:5}"
            f"  {sum(outcome.errors.values()):6}  {len(outcome.wrong):5}  {outcome.late:4}  {back:17}"
            f"  {outcome.slowest_s:5.1f} s  {outcome.took_s:4.1f} s",
            flush=True,
        )
        for line in (outcome.wrong + outcome.untyped)[:3]:
            print("     ", line)
    errors: Counter[str] = sum((outcome.errors for outcome in outcomes), Counter())
    report(
        "chaos_replicas",
        max((seconds for outcome in outcomes for seconds in outcome.back_s), default=0.0),
        BAR_S,
        "lower",
        ok=all(outcome.holds for outcome in outcomes),
        seeds=len(outcomes),
        replicas=REPLICAS,
        callers=CALLERS,
        calls=sum(outcome.calls for outcome in outcomes),
        right=sum(outcome.right for outcome in outcomes),
        wrong=sum(len(outcome.wrong) for outcome in outcomes),
        typed_errors=dict(errors),
        untyped_errors=sum(len(outcome.untyped) for outcome in outcomes),
        past_their_deadline=sum(outcome.late for outcome in outcomes),
        replaced=sum(outcome.replaced for outcome in outcomes),
    )


if __name__ == "__main__":
    main()
