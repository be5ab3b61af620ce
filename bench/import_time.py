"""The CPU time of ``import conduit`` beside that of ``import prefect``, each in fresh interpreters, in turn.

The interpreter's own start is counted on both sides.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

from _report import report

BAR = 0.25
ROUNDS = 5
STATEMENTS = {
    "interpreter": "pass",
    "conduit": "import conduit",
    "names": "from conduit import *",
    "prefect": "import prefect",
}


def cpu_seconds(statement: str) -> float:
    """User and system time of one fresh interpreter."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    for statement in STATEMENTS.values():
        cpu_seconds(statement)
    runs = [{name: cpu_seconds(statement) for name, statement in STATEMENTS.items()} for _ in range(ROUNDS)]
    median = {name: statistics.median(run[name] for run in runs) for name in STATEMENTS}
    for name, seconds in median.items():
        print(f"{name:12} {seconds:6.3f} CPU s")
    report(
        "import_time",
        median["conduit"] / median["prefect"],
        BAR,
        "lower",
        all_names_ratio=round(median["names"] / median["prefect"], 3),
        conduit_cpu_s=round(median["conduit"], 3),
        prefect_cpu_s=round(median["prefect"], 3),
    )


if __name__ == "__main__":
    main()
