"""Runs the checks of files, each in a process of its own, and puts together what they found."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from conduit.dataflow.check.findings import Finding, Report, Severity
from conduit.errors import FlowNotChecked

TIME_LIMIT_S = 60.0
_AT_ONCE = 4


def check(targets: Sequence[str], *, time_limit_s: float = TIME_LIMIT_S) -> Report:
    """Checks flows before anything runs: starts nothing, connects to nothing.

    Args:
        targets: Files, each as ``FILE`` or ``FILE:FLOW``.
        time_limit_s: For each, its import included.

    Raises:
        FlowNotChecked: A file is not there, has no such flow, or its import hangs or dies.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="conduit-check") as pool:
        found = list(pool.map(lambda target: _checked(*split(target), time_limit_s), targets))
    findings = dict.fromkeys(_finding(each) for document in found for each in document["findings"])
    ordered = sorted(findings, key=lambda f: (f.file, f.line, f.column, f.code, f.message))
    return Report(len(found), sum(document["flows"] for document in found), tuple(ordered))


def split(target: str) -> tuple[Path, str | None]:
    """File and flow of ``FILE[:FLOW]``."""
    file, colon, flow = target.rpartition(":")
    # A drive letter is no file, and a name holds no separator.
    if colon and len(file) > 1 and "/" not in flow and "\\" not in flow:
        return Path(file), flow
    return Path(target), None


def _checked(path: Path, flow: str | None, time_limit_s: float) -> dict[str, Any]:
    if not path.is_file():
        raise FlowNotChecked(f"There is no file {path}.", path=str(path))
    command = [
        sys.executable,
        "-m",
        "conduit.dataflow.check.child",
        str(path),
        *([] if flow is None else [flow]),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=time_limit_s, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FlowNotChecked(
            f"{path} was not imported and read within {time_limit_s:g} s.",
            hint='What takes long belongs under `if __name__ == "__main__":`, or give --time-limit.',
            path=str(path),
        ) from None
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise _died(path, done) from None
    if (refused := document.get("not_checked")) is not None:
        raise FlowNotChecked(refused["message"], hint=refused["hint"], path=str(path))
    return document


def _died(path: Path, done: subprocess.CompletedProcess[str]) -> FlowNotChecked:
    how = (
        f"of {signal.Signals(-done.returncode).name}"
        if done.returncode < 0
        else f"with code {done.returncode}"
    )
    said = done.stderr.strip().splitlines()[-1:]
    return FlowNotChecked(
        f"The process that looked at {path} ended {how}{': ' + said[0][:300] if said else ''}.",
        path=str(path),
    )


def _finding(values: dict[str, Any]) -> Finding:
    return Finding(**{**values, "severity": Severity(values["severity"])})
