"""Numbers as people write them: with thousands, a currency sign, Python's underscores.

Only notations with one meaning are read. ``"1,5"`` (one and a half, or a slip?), ``"45%"`` (45, or 0.45?) and
``"5 apples"`` are refused.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Final

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LOOSE_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_UNDERSCORED = re.compile(r"[+-]?\d+(?:_\d+)+(?:\.\d+)?")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
# 1,234.5 and 12,34,567.8 (India); 1.234,5; 1 234,5 and 1'234.5. The last group of three decides.
_COMMAS = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})*,\d{3})(?:\.\d+)?")
_POINTS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+|[+-]?\d{1,3}(?:\.\d{3}){2,}")
_SPACES = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2009\u202f']\d{3})+(?:\.\d+)?")
_MONEY = re.compile(
    r"(?P<sign>[+-]?)\s?(?:[$€£¥₹₽₩]|(?:USD|EUR|GBP|JPY|CHF|INR|US\$|Rs\.?)\s)\s?(?P<rest>[-\d.,' \u00a0]+)"
    r"|(?P<amount>[+-]?[\d.,' \u00a0]*\d)\s?(?:[$€£¥₹₽₩]|(?:USD|EUR|GBP|JPY|CHF|INR)\b)"
)
_CALL = re.compile(r"(?:Decimal|float|int)\(\s*['\"]?([^'\"()]{1,60})['\"]?\s*\)")
_FRACTION = re.compile(r"([+-]?\d{1,9})\s?/\s?(\d{1,9})")
_MOST_CHARACTERS: Final = 400  # a number with more is no number that anybody means


def plain_number(text: str) -> str | None:
    """The number in ``text`` in JSON's notation, or ``None`` when it is not clear that there is one."""
    text = text.strip()
    if len(text) > _MOST_CHARACTERS:
        return None
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if _JSON_NUMBER.fullmatch(text):
        return text
    if (call := _CALL.fullmatch(text)) is not None:
        return plain_number(call[1])
    if (money := _MONEY.fullmatch(text)) is not None:
        return plain_number(money["sign"] + money["rest"] if money["rest"] else money["amount"])
    if _HEX.fullmatch(text):
        return str(int(text, 16))
    if _UNDERSCORED.fullmatch(text):
        return plain_number(text.replace("_", ""))
    for notation, marks, point in (
        (_COMMAS, ",", "."),
        (_POINTS, ".", ","),
        (_SPACES, " \u00a0\u2009\u202f'", "."),
    ):
        if notation.fullmatch(text):
            for mark in marks:
                text = text.replace(mark, "")
            return plain_number(text.replace(point, "."))
    text = text.replace("\u2212", "-")
    if _LOOSE_NUMBER.fullmatch(text):
        mantissa, _, exponent = text.lower().lstrip("+").partition("e")
        sign, digits = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
        whole, _, part = digits.partition(".")
        whole = whole.lstrip("0") or "0"
        return sign + whole + (f".{part}" if part else "") + (f"e{exponent}" if exponent else "")
    return None


def plain_fraction(text: str) -> str | None:
    """The quotient of a text such as ``1/5``, when it is finite in decimals; else ``None``."""
    found = _FRACTION.fullmatch(text.strip())
    if found is None or int(found[2]) == 0:
        return None
    quotient = Decimal(found[1]) / Decimal(found[2])
    return None if quotient * int(found[2]) != int(found[1]) else format(quotient, "f")


def as_whole(number: str) -> str | None:
    """The same number without a fraction, or ``None`` when that would lose something."""
    if "." not in number and "e" not in number.lower():
        return number
    try:
        value = Decimal(number)
    except InvalidOperation:  # an exponent beyond all sense
        return None
    if value.adjusted() > _MOST_CHARACTERS or value != value.to_integral_value():
        return None
    return format(value.to_integral_value(), "f")
