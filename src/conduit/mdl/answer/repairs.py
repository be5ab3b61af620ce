"""What was repaired on the way from a model's text to a value, and what each repair costs.

A price says how far the reading has gone from what was written: ``1`` for a slip of notation that has one meaning
only (a trailing comma), more where something was concluded from the type (a single value for a list). The cheapest
reading wins; the sum tells a user how much an answer can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REPAIRS: Final[dict[str, tuple[int, str]]] = {
    # around the value
    "thinking": (0, "thinking in tags was set apart"),
    "reasoning-channel": (1, "the answer stood in the channel for reasoning"),
    "white-space": (1, "white space that JSON does not know"),
    "fence": (1, "a fence around the value"),
    "prose": (2, "text before or after the value, such as words, tags, end-of-turn tokens"),
    "key-lines": (4, "lines `key: value` for an object"),
    "raw-text": (1, "text without quotes as the whole value"),
    "said-in-prose": (6, "the one value that a sentence names"),
    "encoded-json": (3, "JSON within a string, or with all its quotes escaped"),
    # notation
    "quotes": (1, "quotes of another kind, doubled, or lost at one end"),
    "unquoted-key": (1, "a key without quotes"),
    "unquoted-value": (2, "a text without quotes"),
    "comma": (1, "a comma too many, or another sign for it"),
    "missing-comma": (2, "no comma between two values"),
    "colon": (2, "no colon, another sign for it, or two"),
    "comment": (1, "a comment"),
    "control-character": (1, "a line break or another control character in a string"),
    "escape": (2, "an escape that JSON does not know"),
    "inner-quote": (3, "quotes within a string that were not escaped"),
    "python-literal": (1, "`True`, `None`, a tuple, a set, a call, joined or prefixed strings of Python"),
    "full-width": (1, "full-width punctuation"),
    "unclosed": (3, "a bracket that was not closed, or closed by another"),
    "stray-character": (3, "a sign that belongs to nothing"),
    # meaning, by the type
    "alias": (1, "another name of a choice"),
    "key-spelling": (2, "a key in another spelling, the only field it can mean"),
    "extra-key": (1, "a key that the type does not have was left out"),
    "choice-spelling": (2, "a choice in another spelling, or with an explanation"),
    "number-notation": (1, "a number in another notation with one meaning"),
    "thousands": (2, "a number with thousands apart"),
    "whole-float": (1, "a whole number with a fraction of zero"),
    "text-to-number": (2, "a number in quotes"),
    "text-to-bool": (2, "yes, no and the like"),
    "number-to-text": (2, "a number or truth value where a text belongs"),
    "text-to-null": (2, "null in words, where null is possible"),
    "null-for-missing": (1, "null for a field that was left out and may be null"),
    "date-spelling": (2, "a date, time or duration in another spelling with one meaning"),
    "one-for-list": (4, "one value where a list of them belongs"),
    "list-for-one": (4, "a list of one where its element belongs"),
    "several-values": (5, "several values one after the other for a list"),
    "pairs-for-map": (5, "a list of pairs for an object"),
    "wrapper": (5, "an object around the value"),
    "implied-field": (6, "the value of a record's only necessary field, for the record"),
}
"""Kind → its price, and what was mended."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair.

    Attributes:
        kind: What was done; a key of ``REPAIRS``.
        path: Where in the value, such as ``items[2].price``; empty for the whole text.
        cost: Its price.
    """

    kind: str
    path: str
    cost: int


def repair(kind: str, path: str = "") -> Repair:
    """A repair of that kind at its price."""
    return Repair(kind, path, REPAIRS[kind][0])
