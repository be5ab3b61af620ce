"""A place in a text, the brackets that are open there, and what was repaired on the way to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from conduit.mdl.answer.names import Names
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.answer.signs import (
    ASSIGNED,
    BARE_KEY,
    FULL_WIDTH,
    ITEM_START,
    LOST_END,
    LOST_START,
    NO_COLON,
    ORDINARY,
    QUOTED_KEY,
    WHITE,
)

_MOST_REPAIRS: Final = 20_000


class NotNotation(Exception):
    """The text is no JSON, not even by its intention, from ``at`` on. Never leaves this package."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


@dataclass(slots=True)
class Frame:
    """An open bracket. ``key`` waits for its value; ``items`` is a list or dict being filled."""

    closer: str
    items: Any
    key: str | None = None


class Scanner:
    """Moves over white space and comments, and sees whether a key or an item comes."""

    def __init__(self, text: str, start: int, names: Names) -> None:
        self._text, self._at, self._names = text, start, names
        self._stack: list[Frame] = []
        self._repairs: list[Repair] = []
        self._strays = 0
        self._first_quote_ends = False  # set once a string ran to the end of the text
        self._no_comment_end = False
        self._cut = False
        self._root: Any = None

    def _next(self) -> str:
        """Goes over white space and comments; the character there, or nothing at the end."""
        text = self._text
        sign = text[self._at : self._at + 1]
        if sign in ORDINARY:
            return sign
        while True:
            white = self._after_white(self._at)
            if not text[self._at : white].isascii():
                self._note_once("white-space")
            self._at = white
            sign = self._sign(self._at)
            if sign != text[white : white + 1]:
                self._note_once("full-width")
            if sign == "/" and self._comment():
                continue
            if sign == "#" and text[self._at + 1 : self._at + 2] in (" ", "!", "\t"):
                self._line_comment()
                continue
            return sign

    def _sign(self, at: int) -> str:
        """The character there, of full-width punctuation its plain form; nothing at the end."""
        sign = self._text[at : at + 1]
        return FULL_WIDTH.get(sign, sign)

    def _after_white(self, at: int) -> int:
        return WHITE.match(self._text, at).end()  # type: ignore[union-attr] # it always matches

    def _comment(self) -> bool:
        second = self._text[self._at + 1 : self._at + 2]
        if second == "/":
            self._line_comment()
            return True
        if second == "*" and not self._no_comment_end:
            end = self._text.find("*/", self._at + 2)
            if end < 0:
                self._no_comment_end = True
                return False
            self._note("comment")
            self._at = end + 2
            return True
        return False

    def _line_comment(self) -> None:
        self._note("comment")
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _note(self, kind: str) -> None:
        if len(self._repairs) >= _MOST_REPAIRS:
            raise NotNotation(self._at)
        self._repairs.append(repair(kind, self._path()))

    def _note_once(self, kind: str) -> None:
        if all(done.kind != kind for done in self._repairs):
            self._repairs.append(repair(kind))

    def _path(self) -> str:
        parts = []
        for frame in self._stack:
            if type(frame.items) is list:
                parts.append(f"[{len(frame.items)}]")
            elif frame.key is not None:
                parts.append(f".{frame.key}" if parts else frame.key)
        return "".join(parts)

    def _key_at(self, at: int) -> bool:
        """Whether a key with its colon stands there."""
        text = self._text
        if QUOTED_KEY.match(text, at) is not None:
            return True
        if (bare := BARE_KEY.match(text, at)) is not None and self._names.possible(bare[1].strip()):
            return True
        if self._stack[-1].closer == ")":
            return ASSIGNED.match(text, at) is not None
        named = ASSIGNED.match(text, at) or NO_COLON.match(text, at) or LOST_END.match(text, at)
        named = named or LOST_START.match(text, at)
        return named is not None and self._names.known(named[1])

    def _item_at(self, at: int) -> bool:
        return ITEM_START.match(self._text, at) is not None
