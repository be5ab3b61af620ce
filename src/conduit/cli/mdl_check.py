"""``conduit mdl check``: whether schemas compile, as they are sent, and how long that takes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import typer
from rich.console import Console
from rich.text import Text

from conduit import mdl
from conduit.cli.mdl_source import Source, find_all
from conduit.cli.render import command
from conduit.errors import SchemaUnsupported
from conduit.optional import require

TIME_LIMIT_S = 5.0


@dataclass(frozen=True)
class Checked:
    """What became of one schema.

    Attributes:
        name: Where it was found.
        ok: It compiled.
        message: What was wrong, and what to do.
        compile_ms: How long the compiler took.
        verdicts: How many keywords there are of each verdict.
    """

    name: str
    ok: bool
    message: str = ""
    compile_ms: float | None = None
    verdicts: dict[str, int] = field(default_factory=dict)


def run(target: str, *, as_json: bool) -> None:
    """Lowers and compiles each schema with llguidance; code 1 when one of them does not."""
    with command(as_json=as_json) as screen:
        require("llguidance", extra="grammar", user="Compiling a schema")
        sources = find_all(target)
        with screen.progress.status("Compiling …"):
            results = [_check(source) for source in sources]
        ok = all(result.ok for result in results)
        document = {"ok": ok, "engine": "llguidance", "checked": [asdict(result) for result in results]}
        screen.result(document, lambda out: _show(out, results))
    if not ok:
        raise typer.Exit(1)


def _check(source: Source) -> Checked:
    try:
        lowered = mdl.lower(source.schema, "llguidance")
    except SchemaUnsupported as error:
        return Checked(source.name, ok=False, message=str(error))
    verdicts: dict[str, int] = dict(Counter(str(entry.verdict) for entry in lowered.entries))
    seconds, message = _compiled(json.dumps(lowered.schema))
    compile_ms = None if seconds is None else round(seconds * 1000, 1)
    return Checked(source.name, ok=not message, message=message, compile_ms=compile_ms, verdicts=verdicts)


def _compiled(schema: str) -> tuple[float | None, str]:
    """Seconds that compilation took and what was wrong, from a process that may hang or die."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "conduit.cli.mdl_compile"],
            input=schema,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"llguidance did not end within {TIME_LIMIT_S:g} s."
    if done.returncode < 0:
        return None, f"llguidance died of {signal.Signals(-done.returncode).name}."
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"code {done.returncode}"]
        return None, f"llguidance failed: {last[0]}"
    result = json.loads(done.stdout)
    return result["seconds"], result["message"]


def _show(out: Console, results: Sequence[Checked]) -> None:
    for result in results:
        mark = ("✓ ", "green") if result.ok else ("✗ ", "red")
        took = f"  compiled in {result.compile_ms:g} ms" if result.ok else ""
        out.print(Text.assemble(mark, (result.name, "bold"), took), soft_wrap=True)
        if result.verdicts:
            out.print("    " + ", ".join(f"{count} {verdict}" for verdict, count in result.verdicts.items()))
        if result.message:
            out.print(f"    {result.message}", soft_wrap=True)
