"""Rows to parse: BAML's cases and the defects of a data folder, and Conduit's own corpus in the same shape."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from _baml import Baml, as_baml
from _peers import ROOT
from _python_types import adapter_of
from pydantic import TypeAdapter

sys.path.insert(0, str(ROOT / "tests"))
from support.defects import CASES


@dataclass(frozen=True)
class Row:
    """One text. ``expected`` counts unless it ``must_fail``; ``type`` is given where there is a Python type."""

    name: str
    raw: str
    schema: dict[str, Any]
    baml: Baml
    expected: Any
    must_fail: bool
    type: Any = None
    converts: bool = True
    """Whether a peer's value is still put through pydantic, as its users would; not so for BAML's own cases."""

    @cached_property
    def validator(self) -> TypeAdapter[Any]:
        return adapter_of(self.schema) if self.type is None else TypeAdapter(self.type)

    def plain(self, value: Any) -> Any:
        """A value of the type as JSON data."""
        return self.validator.dump_python(value, mode="json", by_alias=True)

    def is_expected(self, value: Any) -> bool:
        return not self.must_fail and _same(value, self.expected)


def data_rows(path: Path, *, converts: bool) -> Iterator[Row]:
    """The must-parse and must-fail rows of a file; partial ones and those about scores are left out."""
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] in ("ok", "fail"):
            yield Row(
                row["id"],
                row["raw"],
                row["schema"],
                Baml(row["type"], row["baml"]),
                row.get("expected"),
                row["kind"] == "fail",
                converts=converts,
            )


def own_rows() -> Iterator[Row]:
    """The corpus of the tests."""
    for kind, cases in CASES.items():
        for case in cases:
            validator = TypeAdapter(case.type)
            schema = validator.json_schema()
            yield Row(
                f"{kind}: {case.name}",
                case.raw,
                schema,
                as_baml(schema),
                None if case.refused else validator.dump_python(case.expected, mode="json", by_alias=True),
                case.refused,
                case.type,
            )


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON, where an absent field is a null one and 1 is 1.0, but true is not 1."""
    match left, right:
        case dict(), dict():
            keys = {key for side in (left, right) for key, value in side.items() if value is not None}
            return all(_same(left.get(key), right.get(key)) for key in keys)
        case list(), list():
            return len(left) == len(right) and all(map(_same, left, right))
        case (bool(), _) | (_, bool()):
            return left is right
        case float(), float() if math.isnan(left):
            return math.isnan(right)
    return bool(left == right)
