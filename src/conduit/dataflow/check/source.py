"""A flow's file as text: its syntax tree, what its comments silence, and where its names stand."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from conduit.dataflow.check.findings import Finding

_IGNORE = re.compile(r"#\s*conduit:\s*ignore(?:\[([^\]]*)\])?")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """A file that parses.

    Attributes:
        name: As it was named.
        text: All of it.
        tree: Its syntax tree.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.name, self.text = str(path), text
        self.tree = ast.parse(text, filename=str(path))
        self._lines = text.splitlines()
        self._ignored = dict(_ignored(text))

    def column(self, node: ast.AST) -> int:
        """The column of a node, from 1, in characters."""
        line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        return len(text.encode()[:offset].decode(errors="ignore")) + 1

    def silences(self, finding: Finding) -> bool:
        """Whether a comment on one of the finding's lines silences it."""
        for line in range(finding.line, finding.end_line + 1):
            codes = self._ignored.get(line)
            if codes is not None and (
                not codes or {finding.code, finding.code.removeprefix("check.")} & codes
            ):
                return True
        return False

    def functions(self) -> Iterator[tuple[str, Definition]]:
        """The functions and methods of the file by their qualified names, those within functions aside."""
        yield from _functions(self.tree.body, "")

    def function(self, qualified_name: str) -> Definition | None:
        """The last one of that name, which is the one that counts."""
        found = [node for name, node in self.functions() if name == qualified_name]
        return found[-1] if found else None

    def assignment(self, name: str) -> ast.Assign | ast.AnnAssign | None:
        """The last statement at the top level that gives the name a value."""
        found: ast.Assign | ast.AnnAssign | None = None
        for node in ast.walk(ast.Module(self.tree.body, [])):
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                assert isinstance(node, ast.Assign | ast.AnnAssign)
                found = node
        return found


def _functions(body: list[ast.stmt], within: str) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, Definition):
            yield f"{within}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{within}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _functions(node.body, within)


def _ignored(text: str) -> Iterator[tuple[int, frozenset[str]]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := _IGNORE.search(token.string)):
            codes = (found[1] or "").split(",")
            yield token.start[0], frozenset(code.strip() for code in codes if code.strip())
