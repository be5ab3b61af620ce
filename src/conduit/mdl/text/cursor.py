"""A place in one line of MDL text, and the steps that can be made from it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from conduit.errors import TextInvalid

_WORD = re.compile(r"[^\s\[\]{}(),:=?#/\"]+")
_SPACE = re.compile(r"[ \t]*")
_REGEX = re.compile(r"/((?:[^/\\]|\\.)*)/")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SHOWN = 20


class Cursor:
    """Reads one line from the left; spaces between tokens do not count."""

    def __init__(self, text: str, line: int) -> None:
        self.text = text
        self.line = line
        self.position = 0

    def fail(self, problem: str, position: int | None = None) -> NoReturn:
        """Raises the error for this place, or for another one of the line."""
        column = (self.position if position is None else position) + 1
        raise TextInvalid(
            f"Line {self.line}, column {column}: {problem}.",
            hint="docs/mdl.md has the grammar.",
            line=self.line,
            column=column,
        )

    def expected(self, what: str) -> NoReturn:
        """Raises the error that something else should stand here."""
        self.skip()
        found = self.text[self.position : self.position + _SHOWN]
        self.fail(f"expected {what}, found {repr(found) if found else 'the end of the line'}")

    def skip(self) -> None:
        """Goes over spaces."""
        found = _SPACE.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def at_end(self) -> bool:
        """Whether nothing follows."""
        self.skip()
        return self.position == len(self.text)

    def end(self) -> None:
        """Makes sure that nothing follows."""
        if not self.at_end():
            self.expected("the end of the line")

    def take(self, token: str) -> bool:
        """Goes over a token if it stands here."""
        self.skip()
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def first_of(self, tokens: Iterable[str]) -> str | None:
        """Goes over the first of the tokens that stands here."""
        return next((token for token in tokens if self.take(token)), None)

    def need(self, token: str) -> None:
        """Goes over a token that must stand here."""
        if not self.take(token):
            self.expected(f"`{token}`")

    def word(self, what: str) -> str:
        """Goes over an identifier."""
        self.skip()
        found = _WORD.match(self.text, self.position)
        if found is None or not found[0].isidentifier():
            self.expected(what)
        self.position = found.end()
        return found[0]

    def rest(self) -> str:
        """All that follows."""
        found = self.text[self.position :]
        self.position = len(self.text)
        return found

    def regex(self) -> str | None:
        """Goes over an expression between slashes, if one begins here."""
        self.skip()
        if not self.text.startswith("/", self.position):
            return None
        found = _REGEX.match(self.text, self.position)
        if found is None:
            self.fail("the pattern does not end")
        self.position = found.end()
        return found[1]

    def number(self) -> int | float:
        """Goes over a number of JSON."""
        self.skip()
        if _NUMBER.match(self.text, self.position) is None:
            self.expected("a number")
        value: int | float = self.json()
        return value

    def json(self) -> Any:
        """Goes over a JSON value."""
        self.skip()
        try:
            value, self.position = _DECODER.raw_decode(self.text, self.position)
        except RecursionError:
            self.fail("the JSON is nested too deeply")
        except ValueError:
            self.expected("a JSON value")
        return value


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    raise ValueError(f"{text} is too large")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
