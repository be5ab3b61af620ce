"""``conduit check``: what will go wrong in a flow, told before anything runs, as a linter tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.text import Text

from conduit.cli.render import show_error, write_json
from conduit.dataflow.check import Finding, Report, Severity, check
from conduit.errors import ConduitError

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}
_FOUND = 1
_NOT_CHECKED = 2


def run(targets: Sequence[str], *, strict: bool, time_limit_s: float, as_json: bool) -> None:
    """Prints the findings; code 1 when there are errors, 2 when a file could not be checked."""
    screen = Console(stderr=True, highlight=False, markup=False, emoji=False)
    try:
        with screen.status("Checking …"):
            report = check(targets, time_limit_s=time_limit_s)
    except ConduitError as error:
        if as_json:
            write_json({"error": error.as_dict()})
        else:
            show_error(screen, error)
        raise typer.Exit(_NOT_CHECKED) from error
    errors, warnings = report.count(Severity.ERROR), report.count(Severity.WARNING)
    ok = not errors and not (strict and warnings)
    if as_json:
        write_json({
            "ok": ok, "files": report.files, "flows": report.flows, "errors": errors, "warnings": warnings,
            "findings": [asdict(finding) for finding in report.findings],
        })  # fmt: skip
    else:
        _show(Console(highlight=False, markup=False, emoji=False), report)
    if not ok:
        raise typer.Exit(_FOUND)


def _show(out: Console, report: Report) -> None:
    for finding in report.findings:
        out.print(_line(finding), soft_wrap=True)
        if finding.hint:
            out.print(f"    {finding.hint}", soft_wrap=True)
    errors, warnings = report.count(Severity.ERROR), report.count(Severity.WARNING)
    found = (
        f"{_number(errors, 'error')}, {_number(warnings, 'warning')}" if report.findings else "nothing found"
    )
    out.print(f"{_number(report.files, 'file')}, {_number(report.flows, 'flow')}: {found}", soft_wrap=True)


def _line(finding: Finding) -> Text:
    where = f"{finding.file}:{finding.line}:{finding.column}: "
    weight = (str(finding.severity), _COLOURS[finding.severity])
    return Text.assemble(where, weight, f" {finding.code}: {finding.message}")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
