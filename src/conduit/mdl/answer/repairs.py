"""What was repaired on the way from a model's text to a value, and what each repair costs.

A price says how far the reading has gone from what was written: ``1`` for a slip of notation that has one meaning
only (a trailing comma), more where something was concluded from the type (a single value for a list). The cheapest
reading wins; the sum tells a user how much an answer can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PRICES: Final = {
    # around the value
    "thinking": 0,
    "fence": 1,
    "prose": 2,
    "key-lines": 4,
    "raw-text": 1,
    "said-in-prose": 6,
    "white-space": 1,
    # notation
    "quotes": 1,
    "unquoted-key": 1,
    "unquoted-value": 2,
    "comma": 1,
    "missing-comma": 2,
    "colon": 2,
    "comment": 1,
    "control-character": 1,
    "escape": 2,
    "python-literal": 1,
    "number-notation": 1,
    "inner-quote": 3,
    "unclosed": 3,
    "stray-character": 3,
    "full-width": 1,
    # meaning, by the type
    "key-spelling": 2,
    "alias": 1,
    "extra-key": 1,
    "choice-spelling": 2,
    "choice-in-text": 4,
    "text-to-number": 2,
    "thousands": 2,
    "whole-float": 1,
    "text-to-bool": 2,
    "number-to-text": 2,
    "text-to-null": 2,
    "null-for-missing": 1,
    "date-spelling": 2,
    "one-for-list": 4,
    "list-for-one": 4,
    "encoded-json": 3,
    "wrapper": 5,
    "implied-field": 6,
    "pairs-for-map": 5,
    "several-values": 5,
}


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair.

    Attributes:
        kind: What was done; the names of ``PRICES``.
        path: Where in the value, such as ``items[2].price``; empty for the whole text.
        cost: Its price.
    """

    kind: str
    path: str
    cost: int


def repair(kind: str, path: str = "") -> Repair:
    """A repair of that kind at its price."""
    return Repair(kind, path, PRICES[kind])
