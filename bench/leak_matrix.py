"""Every fault of the simulated RunPod, times a SIGKILL of the controller at each step of a start and of an end.

After each the next controller reconciles; then no pod, no process and no live row may be left, and no node may
ever have had two machines. A naive provisioner (record after create, blind retry, trust in the first answer) goes
through the same matrix as the control: it must leak. Pods are real processes, and so are the controllers.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from _report import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.leak_cells import CAREFUL, FAULTS, NAIVE, PHASES, Outcome, run_row

WORKERS = 10


def row(fault: str, phase: str, naive: bool) -> Outcome:
    logging.getLogger("conduit").setLevel(logging.CRITICAL)  # faults are what this is about
    if naive:
        return run_row(fault, phase, NAIVE)
    return run_row(fault, phase, CAREFUL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--fault", choices=FAULTS, action="append")
    given = parser.parse_args()
    faults = given.fault or list(FAULTS)
    began = time.perf_counter()
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {
            (fault, phase, naive): pool.submit(row, fault, phase, naive)
            for naive in (False, True)
            for fault in faults
            for phase in PHASES
        }
        print("fault                   phase      kills  leaked  doubled    naive: kills  leaked  doubled")
        for fault in faults:
            for phase in PHASES:
                careful, naive = (jobs[fault, phase, who].result() for who in (False, True))
                print(
                    f"{fault:22}  {phase:9}  {careful.cells:5}  {careful.leaked:6}  {careful.doubled:7}"
                    f"           {naive.cells:5}  {naive.leaked:6}  {naive.doubled:7}",
                    flush=True,
                )
                for problem in careful.problems[:3]:
                    print("     ", problem)
    careful = [job.result() for (_, _, naive), job in jobs.items() if not naive]
    naive = [job.result() for (_, _, naive), job in jobs.items() if naive]
    report(
        "leak_matrix",
        sum(outcome.leaked for outcome in careful),
        0,
        "lower",
        ok=all(outcome.holds for outcome in careful) and sum(outcome.leaked for outcome in naive) > 0,
        faults=len(faults),
        kills=sum(outcome.cells for outcome in careful),
        doubled=sum(outcome.doubled for outcome in careful),
        problems=sum(len(outcome.problems) for outcome in careful),
        naive_kills=sum(outcome.cells for outcome in naive),
        naive_leaked=sum(outcome.leaked for outcome in naive),
        took_s=round(time.perf_counter() - began, 1),
    )


if __name__ == "__main__":
    main()
