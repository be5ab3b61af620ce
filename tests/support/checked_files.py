"""Checks files within this process: importing Prefect once is most of what a check takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from conduit.dataflow.check import Finding, importing, reading
from conduit.dataflow.check.source import Source

SUPPORT = Path(__file__).parent
FAULTS = sorted(path for path in (SUPPORT / "wiring_faults").glob("*.py") if path.stem != "desk")
SOUND = sorted((SUPPORT / "sound_flows").glob("*.py"))
FLOWS = [
    *sorted((SUPPORT.parents[1] / "flows").glob("*.py")),
    SUPPORT.parents[1] / "src/conduit/cli/inbox.py",
]


def findings(path: Path, flow: str | None = None) -> list[Finding]:
    """What a check of the file finds. The file must start nothing when it is imported."""
    source = Source(path, path.read_text())
    before, modules = sys.path[:], set(sys.modules)
    try:
        module, finding = importing.module(path)
        if module is None:
            assert finding is not None
            return [finding]
        return reading.read(source, vars(module), flow)[0].all()
    finally:
        sys.path[:] = before
        for name in set(sys.modules) - modules:
            if name.endswith("__checked"):
                del sys.modules[name]


def seeded(path: Path) -> list[tuple[int, str]]:
    """Line and code of the faults that a file says it has."""
    found = [
        (line, re.search(r"# FAULT (.+)$", text))
        for line, text in enumerate(path.read_text().splitlines(), 1)
    ]
    return sorted((line, code) for line, match in found if match for code in match[1].split())
