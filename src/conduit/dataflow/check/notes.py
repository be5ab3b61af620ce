"""Collects what is found while a file is read; muted where the same code is read for what it makes only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager

from conduit.dataflow.check.findings import CODES, Finding
from conduit.dataflow.check.source import Source


class Notes:
    """The findings of one file.

    Attributes:
        source: The file.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[Finding, None] = {}
        self._muted = 0

    def add(self, code: str, at: ast.AST | None, message: str, hint: str | None = None) -> None:
        """Notes something at a node; without one at the file's beginning."""
        if self._muted:
            return
        line = getattr(at, "lineno", 1)
        end = getattr(at, "end_lineno", line) or line
        if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            end = line  # a definition is at fault in its head
        column = 1 if at is None else self.source.column(at)
        found = Finding(self.source.name, line, column, end, code, CODES[code][0], message, hint)
        if not self.source.silences(found):
            self._found[found] = None

    @contextmanager
    def muted(self) -> Iterator[None]:
        """What is found within is not noted."""
        self._muted += 1
        try:
            yield
        finally:
            self._muted -= 1

    def all(self) -> list[Finding]:
        """What was found, by place."""
        return sorted(self._found, key=lambda f: (f.line, f.column, f.code, f.message))
