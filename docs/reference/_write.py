"""Writes the two pages of the reference that repeat what the program says: its commands and its settings.

``make reference`` runs it; a test holds the pages to what it would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from conduit.cli.app import app
from conduit.settings import Settings, variables

FOLDER = Path(__file__).parent
_WIDTH = 88

_COMMANDS = """# Commands

What `--help` says of each. What prints a result takes `--json`, and then prints one JSON document and nothing
else; an error is one as well, with its [code](../errors.md). Exit codes: 0 when it went well, 1 for an error or a
finding, 2 for a command line that does not parse; [`check`](../check.md) says more with them.
"""

_SETTINGS = """# Settings

Each is an environment variable, or has its default. An empty variable counts as unset; where there are two, the
first that is set wins. `conduit doctor` shows every value and where it comes from, and never a secret. The server
of a replica has [settings of its own](../gpu_server.md).

| variable | default | |
|---|---|---|
"""


def commands() -> str:
    """The page of the commands."""
    return "\n".join([_COMMANDS, *_sections(typer.main.get_command(app), "conduit")])


def settings() -> str:
    """The page of the settings."""
    return _SETTINGS + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _sections(command: Any, name: str) -> Iterator[str]:
    with command.make_context(name, [], resilient_parsing=True, max_content_width=_WIDTH) as context:
        context.terminal_width = _WIDTH
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## {name}\n\n```text\n{text.strip()}\n```\n"
    for part, below in getattr(command, "commands", {}).items():
        yield from _sections(below, f"{name} {part}")


def _rows() -> Iterator[tuple[str, str, str]]:
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = (
            "" if default is None or default in ((), {}) or field.default_factory else f"`{_text(default)}`"
        )
        yield (
            ", ".join(f"`{each}`" for each in variables(name)),
            shown,
            (field.description or "").replace("|", "\\|"),
        )


def _text(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    (FOLDER / "commands.md").write_text(commands())
    (FOLDER / "settings.md").write_text(settings())
