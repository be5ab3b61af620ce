"""``conduit doctor``: every check says what was found and, where something is amiss, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.text import Text

from conduit import settings as settings_module
from conduit.cli import doctor_checks as checks
from conduit.cli.doctor_checks import Check, Outcome
from conduit.cli.render import command, table
from conduit.errors import ConduitError
from conduit.settings import Settings

_MARKS = {Outcome.OK: ("✓", "green"), Outcome.NOTE: ("!", "yellow"), Outcome.FAILED: ("✗", "red")}


def run(*, as_json: bool) -> None:
    """Makes all checks and prints them; code 1 when one failed."""
    with command(as_json=as_json) as screen:
        settings, found = _settings()
        found = [*checks.of_installation(), *found]
        if settings is not None:
            with screen.progress.status("Checking …"):
                found += checks.of_machine(settings)
        values = checks.setting_values(settings)
        ok = all(check.outcome is not Outcome.FAILED for check in found)
        document = {"ok": ok, "checks": [asdict(c) for c in found], "settings": [asdict(v) for v in values]}
        screen.result(document, lambda out: _show(out, found, values))
    if not ok:
        raise typer.Exit(1)


def _settings() -> tuple[Settings | None, list[Check]]:
    try:
        return settings_module.load(), []
    except ConduitError as error:
        return None, [checks.failed("settings", error)]


def _show(out: Console, found: Sequence[Check], values: Sequence[checks.SettingValue]) -> None:
    for check in found:
        mark, colour = _MARKS[check.outcome]
        out.print(
            Text.assemble((f"{mark} ", colour), (f"{check.name}: ", "bold"), check.found), soft_wrap=True
        )
        if check.remedy:
            out.print(Text.assemble("    → ", check.remedy), soft_wrap=True)
    rows = table("setting", "value", "from")
    for value in values:
        rows.add_row(value.name, value.value, value.source)
    out.print()
    out.print(rows)
