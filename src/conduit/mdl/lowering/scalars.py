"""Keywords of strings and numbers."""

from __future__ import annotations

import math
from typing import Any

from conduit.mdl.lowering import patterns
from conduit.mdl.lowering.base import Ledger, Schema, unsupported
from conduit.mdl.lowering.formats import pattern_of
from conduit.mdl.lowering.patterns import BadPattern, Pattern, Unreadable
from conduit.mdl.lowering.regex import ANY
from conduit.mdl.lowering.rules import Rules
from conduit.mdl.lowering.values import LARGEST, check_text, exact_number, is_finite


def size_of(schema: Schema, keyword: str, path: str) -> int | None:
    """A whole, non-negative limit; refuses anything else."""
    value = schema.get(keyword)
    if value is None and keyword not in schema:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise unsupported(f"{path}.{keyword}", f"{value!r} is no size", "use a whole number from 0")
    return value


def size_range(schema: Schema, what: str, path: str) -> tuple[int | None, int | None]:
    """``minX`` and ``maxX``; refuses an empty range."""
    least, most = size_of(schema, f"min{what}", path), size_of(schema, f"max{what}", path)
    if least is not None and most is not None and least > most:
        raise unsupported(f"{path}.min{what}", f"{least} is more than max{what}, {most}", "swap the two")
    return least, most


def keep_sizes(
    schema: Schema, what: str, path: str, largest: int, ledger: Ledger, why_not: str = ""
) -> Schema:
    """``minX`` and ``maxX`` as far as they are worth a place in the grammar."""
    kept: Schema = {}
    for keyword, value in zip((f"min{what}", f"max{what}"), size_range(schema, what, path), strict=True):
        if value is None:
            continue
        if why_not or value > largest:
            ledger.validation(path, keyword, why_not or f"above {largest}, left to validation")
        else:
            ledger.mask(path, keyword)
            kept[keyword] = value
    return kept


def lower_string(schema: Schema, path: str, rules: Rules, ledger: Ledger) -> Schema:
    """``pattern``, ``format``, ``minLength``, ``maxLength``."""
    least, most = size_range(schema, "Length", path)
    found = _pattern(schema, path, rules, ledger, least, most)
    sizes = {name for name in ("minLength", "maxLength") if name in schema}
    if found is not None and found.sized:
        for name in sorted(sizes, reverse=True):
            ledger.mask(path, name, "written into the pattern")
        return {"pattern": found.text}
    why_not = ""
    if not rules.lengths:
        why_not = "left to validation"
    elif found is not None and not (rules.lengths_beside_pattern and found.takes_lengths):
        why_not = "left to validation beside the pattern"
    kept = keep_sizes(schema, "Length", path, rules.most_length, ledger, why_not)
    return kept if found is None else {"pattern": found.text, **kept}


def _pattern(
    schema: Schema, path: str, rules: Rules, ledger: Ledger, least: int | None, most: int | None
) -> Pattern | None:
    found: Pattern | None = None
    if "pattern" in schema:
        found = lower_pattern(schema["pattern"], "pattern", path, rules, ledger, least, most)
    if "format" not in schema:
        return found
    known = pattern_of(str(schema["format"]))
    if found is not None or known is None:
        ledger.validation(path, "format")
        return found
    formatted = patterns.translate(known, rules.dialect)
    if rules.dialect.raw and not formatted.plain:
        ledger.validation(path, "format")
        return None
    ledger.mask(path, "format", "as a pattern")
    return formatted


def lower_pattern(
    text: Any,
    keyword: str,
    path: str,
    rules: Rules,
    ledger: Ledger,
    least: int | None = None,
    most: int | None = None,
) -> Pattern | None:
    """A pattern for the engine, or ``None`` where it is left to validation."""
    if not isinstance(text, str):
        raise unsupported(f"{path}.{keyword}", "is not text", "write a regular expression")
    check_text(text, f"{path}.{keyword}")
    most = most if most is None or most <= rules.most_length else None
    least = least if least is None or least <= rules.most_length else None
    try:
        found = patterns.translate(text, rules.dialect, least, most)
    except BadPattern as error:
        raise unsupported(
            f"{path}.{keyword}", f"{text[:80]!r} is no regular expression: {error}", "correct it"
        ) from error
    except Unreadable as error:
        ledger.validation(path, keyword, f"left to validation: {error}")
        return None
    if found.text == f"^{ANY}*$":
        if found.exact:
            ledger.mask(path, keyword, "matches any text")
        else:
            ledger.validation(path, keyword)
        return None
    if rules.dialect.raw and not found.plain:
        ledger.validation(path, keyword, "left to validation: it may match what JSON escapes")
        return None
    if found.exact:
        ledger.mask(path, keyword)
    else:
        ledger.validation(path, keyword, "widened: look-around and the like are left to validation")
    return found


def lower_number(schema: Schema, types: tuple[str, ...], path: str, rules: Rules, ledger: Ledger) -> Schema:
    """Bounds and ``multipleOf``."""
    whole = "number" not in types
    kept: Schema = {}
    for side, toward in (("minimum", math.ceil), ("maximum", math.floor)):
        exclusive = "exclusive" + side[0].upper() + side[1:]
        bound, beyond = schema.get(side), schema.get(exclusive)
        if isinstance(beyond, bool):  # draft 4: a switch on the other keyword
            bound, beyond = (None, bound) if beyond else (bound, None)
        for keyword, value in ((side, bound), (exclusive, beyond)):
            if value is None:
                continue
            _check_number(value, f"{path}.{keyword}")
            if not exact_number(value):
                ledger.validation(path, keyword, f"beyond {LARGEST} or too close to 0, left to validation")
                continue
            ledger.mask(path, keyword)
            if not whole:
                kept[keyword] = value
            elif float(value).is_integer():
                kept[keyword] = int(value)
            else:
                kept[side] = max(toward(value), kept.get(side, toward(value)), key=_tighter(side))
    _check_range(kept, path)
    if "multipleOf" in schema:
        kept |= _factor(schema["multipleOf"], path, rules, ledger, whole=whole, bounded=bool(kept))
    return kept


def _tighter(side: str) -> Any:
    return (lambda value: value) if side == "minimum" else (lambda value: -value)


def _check_range(kept: Schema, path: str) -> None:
    for low, high, strict in (
        ("minimum", "maximum", False),
        ("minimum", "exclusiveMaximum", True),
        ("exclusiveMinimum", "maximum", True),
        ("exclusiveMinimum", "exclusiveMaximum", True),
    ):
        if low in kept and high in kept and (kept[low] > kept[high] or (strict and kept[low] == kept[high])):
            raise unsupported(
                f"{path}.{low}", f"no number is from {kept[low]} to {kept[high]}", "swap the two"
            )


def _factor(value: Any, path: str, rules: Rules, ledger: Ledger, *, whole: bool, bounded: bool) -> Schema:
    _check_number(value, f"{path}.multipleOf")
    if value <= 0:
        raise unsupported(f"{path}.multipleOf", f"{value} is not above 0", "use a positive number")
    if whole and (isinstance(value, int) or value.is_integer()):
        fits = value <= rules.largest_factor and (rules.factor_in_range or not bounded)
        kept: Schema = {"multipleOf": int(value)}
    else:
        # 2.55 would be asked for as 5.10, and 3 would refuse 300.0: only powers of ten stand in every spelling.
        fits = not whole and rules.fractions and value in (0.1, 0.01, 0.001, 0.0001, 0.00001, 0.000001)
        kept = {"multipleOf": value}
    if not fits:
        ledger.validation(path, "multipleOf")
        return {}
    ledger.mask(path, "multipleOf")
    return kept


def _check_number(value: Any, path: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not is_finite(value):
        raise unsupported(path, f"{value!r} is no number", "use a finite number")
