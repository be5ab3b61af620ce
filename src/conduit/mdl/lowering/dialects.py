r"""How engines write regular expressions: what differs between them, as data.

Regular expressions in schemas are read by several libraries that differ on ``\d``, ``\w`` and ``\s``: ASCII only
in ECMAScript, all of Unicode in pydantic and Python. A mask must not refuse what the validator takes, so each of
these classes has a wide text, the union of the readings, and a narrow one, their intersection, for use inside a
negated class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LETTERS = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}"


@dataclass(frozen=True)
class Dialect:
    r"""One engine's regular expressions.

    Attributes:
        classes: For each of ``d D w W s S`` the wide and the narrow text, to stand inside brackets.
        properties: It knows ``\p{...}``.
        flags: It knows ``(?i:...)``.
        raw: It matches the JSON text and not the string that it stands for: a quote, a backslash or a control
            character cannot be matched, because JSON writes them as escapes.
    """

    classes: Mapping[str, tuple[str, str]]
    properties: bool = False
    flags: bool = False
    raw: bool = False


# The regex crate of Rust, inside derivre.
RUST = Dialect(
    classes={
        "d": (r"\p{Nd}", "0-9"),
        "D": (r"\x00-\x2f\x3a-\x{10FFFF}", r"\P{Nd}"),
        "w": (_LETTERS, "0-9A-Za-z_"),
        "W": (r"\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x{10FFFF}", f"[^{_LETTERS}]"),
        "s": (r"\s\x{feff}\x1c-\x1f", r"\t-\r\x20"),
        "S": (r"\S\x{85}", r"[^\s\x{feff}\x1c-\x1f]"),
    },
    properties=True,
    flags=True,
)

_ASCII = {
    "d": ("0-9", "0-9"),
    "D": (r"\D", r"\D"),
    "w": ("0-9A-Za-z_", "0-9A-Za-z_"),
    "W": (r"\W", r"\W"),
    "s": (r"\s", r"\s"),
    "S": (r"\S", r"\S"),
}
ECMA = Dialect(classes=_ASCII)
# Any character beyond ASCII counts as a digit or a letter: xgrammar knows no Unicode properties.
XGRAMMAR = Dialect(
    classes=_ASCII | {"d": ("0-9\x80-\U0010ffff", "0-9"), "w": ("0-9A-Za-z_\x80-\U0010ffff", "0-9A-Za-z_")},
    raw=True,
)
