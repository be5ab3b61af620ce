"""What lowering gives back, and how it refuses: value types only.

A keyword's verdict says who enforces it. ``mask``: the engine's grammar does. ``validation``: the grammar takes
more than the schema, because the keyword was left out or widened; whoever validates the answer enforces it.
``narrowed``: the grammar takes less, because the engine can only write some of the values that the schema allows.
Annotations (``title``, ``description``, ``default``, ``examples``, ``x-...``) enforce nothing and have no verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from conduit.errors import SchemaUnsupported

Schema = dict[str, Any]
Engine = Literal["llguidance", "xgrammar", "openai"]
Verdict = Literal["mask", "validation", "narrowed"]

_LONGEST_PATH = 200

ENGINES: tuple[Engine, ...] = get_args(Engine)


@dataclass(frozen=True)
class Entry:
    """One occurrence of a keyword.

    Attributes:
        path: Where the schema that holds it stands, such as ``$.properties.name``.
        keyword: The keyword.
        verdict: Who enforces it.
        note: What was changed; empty when the grammar enforces it as it stands.
    """

    path: str
    keyword: str
    verdict: Verdict
    note: str = ""

    @property
    def where(self) -> str:
        """Path and keyword in one."""
        return f"{self.path}.{self.keyword}"


@dataclass(frozen=True)
class Lowered:
    """A schema that an engine can take.

    Attributes:
        schema: What to send to the engine.
        engine: The engine that it is for.
        entries: The verdict on every keyword of the original, in its order.
    """

    schema: Schema
    engine: Engine
    entries: tuple[Entry, ...]

    @property
    def changes(self) -> tuple[str, ...]:
        """Lines for what the mask does not enforce as the original says it."""
        return tuple(f"{entry.where}: {entry.note}" for entry in self.entries if entry.verdict != "mask")

    def report(self) -> str:
        """All entries as aligned lines: where, verdict, note."""
        width = max((len(entry.where) for entry in self.entries), default=0)
        return "\n".join(
            f"{entry.where:<{width}}  {entry.verdict:<10}  {entry.note}".rstrip() for entry in self.entries
        )


class Ledger:
    """Collects entries while a schema is lowered."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def mask(self, path: str, keyword: str, note: str = "") -> None:
        """The grammar enforces it."""
        self._entries.append(Entry(path, keyword, "mask", note))

    def validation(self, path: str, keyword: str, note: str = "left to validation") -> None:
        """Left out or widened."""
        self._entries.append(Entry(path, keyword, "validation", note))

    def narrowed(self, path: str, keyword: str, note: str) -> None:
        """The grammar takes less."""
        self._entries.append(Entry(path, keyword, "narrowed", note))

    def mark(self) -> int:
        """A place to come back to with ``leave_out``."""
        return len(self._entries)

    def leave_out(self, start: int, end: int, note: str, keywords: Collection[str] = ()) -> None:
        """What was entered between two marks, or some keywords of it, is not in the grammar after all."""
        for i in range(start, end):
            entry = self._entries[i]
            if not keywords or entry.keyword in keywords:
                self._entries[i] = Entry(entry.path, entry.keyword, "validation", note)


def unsupported(path: str, problem: str, remedy: str) -> SchemaUnsupported:
    """The error for the schema at ``path``; ``problem`` and ``remedy`` are phrases without a full stop."""
    path = path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]} …"
    hint = remedy[0].upper() + remedy[1:] + "."
    return SchemaUnsupported(f"{path}: {problem}.", hint=hint, path=path)
