"""Dates and times as people write them, where there is one meaning only."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
_WEEKDAY = re.compile(
    r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+", re.IGNORECASE
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?=$)")
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?=$|[T\s])")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?=$|[T\s])")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?=$|[,T\s])")
_DAY_FIRST = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)?\.?[\s-]+(?:of\s+)?([A-Za-z]{3,9})\.?,?[\s-]+(\d{4})(?=$|[,T\s])"
)
_CLOCK = re.compile(
    r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}(?:\.\d{1,6})?))?\s*(?:([ap])\.?m\.?)?\s*(Z|UTC|GMT|[+-]\d{2}:\d{2})?",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?)\s*(weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)\b[,\s]*(?:and\s+)?",
    re.IGNORECASE,
)
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NAMES: Final = {
    "january", "february", "march", "april", "june", "july", "august", "september", "october", "november",
    "december", "sept", *_MONTHS,
}  # fmt: skip


def iso_date(text: str) -> tuple[str, str] | None:
    """A date at the start of ``text`` as ``YYYY-MM-DD``, and what follows it; ``None`` when it is not clear.

    ``03/04/2024`` is not: it depends on the country.
    """
    text = _WEEKDAY.sub("", text.strip(), count=1)
    if found := _YEAR_FIRST.match(text) or _COMPACT.match(text):
        year, month, day = (int(part) for part in found.groups())
    elif found := _YEAR_LAST.match(text):
        first, second, year = (int(part) for part in found.groups())
        if first != second and first <= 12 and second <= 12:
            return None
        month, day = (first, second) if second > 12 else (second, first)
    elif (found := _MONTH_FIRST.match(text)) and found[1].lower() in _NAMES:
        month, day, year = _MONTHS[found[1].lower()[:3]], int(found[2]), int(found[3])
    elif (found := _DAY_FIRST.match(text)) and found[2].lower() in _NAMES:
        day, month, year = int(found[1]), _MONTHS[found[2].lower()[:3]], int(found[3])
    else:
        return None
    return f"{year:04}-{month:02}-{day:02}", text[found.end() :].lstrip(" ,T")


def iso_time(text: str) -> str | None:
    """A time of the twelve-hour clock, or one without its leading nought, as ``HH:MM:SS`` with its zone."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None or (found[4] is None and found[2] is None):
        return None
    hour, zone = int(found[1]), found[5] or ""
    if found[4] is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4].lower() == "p" else 0)
    zone = "Z" if zone.upper() in ("UTC", "GMT", "Z") else zone
    return f"{hour:02}:{found[2] or '00'}:{found[3] or '00'}{zone}"


def iso_duration(text: str) -> str | None:
    """A duration in words or units, such as ``1h 30m``, as ``PT5400S``."""
    text, at, seconds = text.strip(), 0, 0.0
    units: list[str] = []
    while (found := _SPAN.match(text, at)) is not None and len(units) < len(_SECONDS):
        at = found.end()
        units.append(found[2][0].lower())
        seconds += float(found[1]) * _SECONDS[units[-1]]
    if at < len(text) or not units or len(set(units)) < len(units):
        return None
    return f"PT{seconds:.6f}".rstrip("0").rstrip(".") + "S"
