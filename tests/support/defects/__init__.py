"""Answers as models write them, each with the value that a careful reader takes from it, or with a refusal.

Written by hand (but for ``pairs``, where a careless ``Hand`` combines habits), without looking at any parser: the
corpus says what ought to be. Where two readings are left, or something is lost on the way, the text is refused.
"""

from __future__ import annotations

from support.defects import (
    moments,
    naming,
    numbers,
    pairs,
    punctuation,
    replies,
    shapes,
    strings,
    surroundings,
)
from support.defects.case import REFUSED, Case

__all__ = ["CASES", "REFUSED", "Case"]

CASES: dict[str, tuple[Case, ...]] = {
    "surroundings": surroundings.CASES,
    "punctuation": punctuation.CASES,
    "strings": strings.CASES,
    "numbers": numbers.CASES,
    "naming": naming.CASES,
    "shapes": shapes.CASES,
    "moments": moments.CASES,
    "replies": replies.CASES,
    "pairs": pairs.CASES,
}
"""All cases, by the kind of defect."""
