"""A careless hand: writes a JSON value with any set of bad habits, so that defects can be met in pairs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hand:
    """How a value is written. Without a habit it is JSON over several lines."""

    quotes: tuple[str, str] = ('"', '"')
    bare_keys: bool = False
    camel_keys: bool = False
    python_words: bool = False
    trailing_commas: bool = False
    no_commas: bool = False
    comments: bool = False
    raw_newlines: bool = False
    quoted_numbers: bool = False
    loud_choices: bool = False
    inner_quotes: bool = False
    unclosed: bool = False

    def write(self, value: Any) -> str:
        text = self._value(value, "")
        return text.rstrip("}]\n ") if self.unclosed else text

    def _value(self, value: Any, indent: str) -> str:
        match value:
            case dict():
                return self._group(
                    "{",
                    [f"{self._key(k)}: {self._value(v, indent + '  ')}" for k, v in value.items()],
                    "}",
                    indent,
                )
            case list():
                return self._group("[", [self._value(item, indent + "  ") for item in value], "]", indent)
            case str():
                return self._text(value)
            case bool() | None if self.python_words:
                return repr(value)
            case int() | float() if self.quoted_numbers and not isinstance(value, bool):
                return self._text(f"{value:,}")
        return json.dumps(value)

    def _group(self, opening: str, items: list[str], closing: str, indent: str) -> str:
        if not items:
            return opening + closing
        inside = f"\n{indent}  "
        lines = ("" if self.no_commas else ",").join(f"{inside}{item}" for item in items)
        if self.trailing_commas:
            lines += ","
        if self.comments:
            lines = f"{inside}// it's all here{lines}"
        return f"{opening}{lines}\n{indent}{closing}"

    def _key(self, key: str) -> str:
        if self.camel_keys:
            key = re.sub(r"_(\w)", lambda found: found[1].upper(), key)
        return key if self.bare_keys else f"{self.quotes[0]}{key}{self.quotes[1]}"

    def _text(self, text: str) -> str:
        if self.loud_choices and text in ("on time", "delayed"):
            text = text.upper()
        if self.raw_newlines:
            text = text.replace("\\n", "\n")
        written = text if self.inner_quotes or self.quotes != ('"', '"') else text.replace('"', '\\"')
        written = written if self.raw_newlines else written.replace("\n", "\\n")
        return f"{self.quotes[0]}{written}{self.quotes[1]}"
