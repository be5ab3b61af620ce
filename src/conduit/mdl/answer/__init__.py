"""From a model's text to a validated value: the ladder of readings, its repairs and their prices."""

from __future__ import annotations

from conduit.mdl.answer.by_schema import parse_schema
from conduit.mdl.answer.by_type import error_lines, parse
from conduit.mdl.answer.parsed import Parsed
from conduit.mdl.answer.repairs import REPAIRS, Repair, repair
from conduit.mdl.answer.thinking import split_thinking

__all__ = ["REPAIRS", "Parsed", "Repair", "error_lines", "parse", "parse_schema", "repair", "split_thinking"]
