"""How commands print: one JSON document or tables on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conduit.errors import ConduitError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


class Screen:
    """Where one command prints.

    Attributes:
        as_json: Standard output takes one JSON document only.
        out: Standard output, for tables.
        progress: Standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # Messages, paths and errors may hold brackets and colons: no text is read as markup.
        self.out = Console(highlight=False, markup=False, emoji=False)
        self.progress = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def result(self, document: Any, show: Callable[[Console], None]) -> None:
        """Prints the command's result: the document with ``--json``, else what ``show`` prints."""
        if self.as_json:
            write_json(document)
        else:
            show(self.out)

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Shows that something is going on, and when it is done, how long it took."""
        step = Step(doing)
        with self.progress.status(f"{doing} …"):
            yield step
        self.progress.print(Text.assemble(("✓ ", "green"), f"{step.done} ({step.seconds:.1f} s)"))


class Step:
    """A step that is being shown; set ``done`` to what is to be said at its end."""

    def __init__(self, doing: str) -> None:
        self.done = doing
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._begun


@contextmanager
def command(*, as_json: bool) -> Iterator[Screen]:
    """The frame of a command: a ``ConduitError`` is shown with its hint and ends the process with code 1."""
    screen = Screen(as_json=as_json)
    try:
        yield screen
    except ConduitError as error:
        if as_json:
            write_json({"error": error.as_dict()})
        else:
            show_error(screen.progress, error)
        raise typer.Exit(1) from error


def show_error(console: Console, error: ConduitError) -> None:
    """Prints message and hint."""
    console.print(Text.assemble(("Error: ", "bold red"), (error.message, "red")), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("Hint: ", "bold"), error.hint), soft_wrap=True)


def write_json(document: Any, *, indent: int | None = 2) -> None:
    """Prints a document of plain values, dataclasses, paths and times."""
    sys.stdout.write(json.dumps(document, indent=indent, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table in the house style; the columns named in ``right`` hold numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def age(since: float) -> str:
    """Time since a Unix time, in the largest unit that fits."""
    return duration(max(0.0, time.time() - since))


def duration(seconds: float) -> str:
    """A time in the largest unit that fits twice, so that it is no further off than a quarter."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
