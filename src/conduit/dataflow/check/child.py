"""The process that imports a file and reads it: ``python -m conduit.dataflow.check.child FILE [FLOW]``.

Its standard output is one JSON document; what the file prints goes to standard error. A file that hangs, or takes
the process with it, takes nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conduit.dataflow.check import importing
from conduit.dataflow.check.findings import Finding
from conduit.dataflow.check.source import Source
from conduit.errors import FlowNotChecked


def main() -> None:
    """Checks one file and writes what it found."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    flow = sys.argv[2] if len(sys.argv) > 2 else None
    try:
        document = checked(Path(sys.argv[1]), flow)
    except FlowNotChecked as error:
        document = {"not_checked": error.as_dict()}
    with out:
        json.dump(document, out)
    # The file may have left threads that never end.
    sys.stderr.flush()
    os._exit(0)


def checked(path: Path, flow: str | None) -> dict[str, Any]:
    """The findings of a file as plain values."""
    try:
        source = Source(path, path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        return _document([importing.not_imported(path, error)], 0)
    importing.nothing_starts()
    if "prefect" in source.text:
        importing.no_flow_runs()
    module, finding = importing.module(path)
    # That a script does something is no fault; that a file with flows does is one, for others import it.
    kept = [] if finding is None or source.silences(finding) else [finding]
    if module is None:
        return _document(kept, 0)
    from conduit.dataflow.check.reading import read

    notes, flows = read(source, vars(module), flow)
    return _document([*(kept if flows else []), *notes.all()], flows)


def _document(findings: list[Finding], flows: int) -> dict[str, Any]:
    return {"flows": flows, "findings": [asdict(finding) for finding in findings]}


if __name__ == "__main__":
    main()
