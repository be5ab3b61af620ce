"""Lowering: JSON Schema as an engine's grammar can take it, and a report of who enforces which keyword.

Pure and bounded: a hostile schema is refused in milliseconds, never followed. ``lower`` is the one way in; each
engine is a file of facts, and the other files are rooms for one kind of keyword each.
"""

from __future__ import annotations

from conduit.mdl.lowering.base import ENGINES, Engine, Entry, Lowered, Verdict
from conduit.mdl.lowering.lower import lower

__all__ = ["ENGINES", "Engine", "Entry", "Lowered", "Verdict", "lower"]
