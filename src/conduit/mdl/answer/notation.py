"""Reading text that means to be JSON: quotes of any kind, missing commas, comments, Python's literals and more.

One pass over the text, without recursion and without going back more than once: time and memory grow with the text
alone, whatever it holds. Types play one part only: the names of their fields help to tell where a string ends and
what is a key. What a value means is for ``coerce`` to say; a token that stood without quotes keeps its text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from conduit.mdl.answer.names import Names
from conduit.mdl.answer.repairs import Repair
from conduit.mdl.answer.scanner import Frame, NotNotation
from conduit.mdl.answer.signs import (
    BARE_END,
    CALL,
    CLOSERS,
    COLONS,
    COMMAS,
    FIRST_KEY,
    LITERALS,
    LOST_END,
    LOST_START,
    NUMBER,
    PLAIN_IN_LIST,
    PLAIN_IN_OBJECT,
    PLAIN_KEY,
    PREFIX,
    PYTHON_LITERALS,
    QUOTES,
    SET_TOKEN,
    TOKEN,
)
from conduit.mdl.answer.strings import StringScanner

MAX_DEPTH: Final = 100  # of brackets; an answer nested deeper is read strictly or not at all
_MOST_STRAYS: Final = 12  # characters that belong to nothing, before a text is prose and no value


class Bare(str):
    """The text of a token without quotes: a number, a literal, or words that ought to have had quotes."""

    __slots__ = ()


@dataclass(slots=True)
class Reading:
    """What was read from ``start`` up to ``end``.

    Attributes:
        value: ``dict``, ``list``, ``str`` (quoted) or ``Bare`` (not quoted); what is valid JSON throughout has
            ``True``, ``False`` and ``None`` themselves.
        end: Where the text after the value starts.
        repairs: What was wrong with the notation.
        cut: The text ended within a string or before a key's value, so something of it is missing.
    """

    value: Any
    end: int
    repairs: list[Repair] = field(default_factory=list)
    cut: bool = False

    @property
    def open_ended(self) -> bool:
        """Whether a bracket was not closed, so that the value may have run into what is none of it."""
        return self.cut or any(done.kind == "unclosed" for done in self.repairs)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_STRICT: Final = json.JSONDecoder(parse_int=Bare, parse_float=Bare, parse_constant=_refuse)


def read_notation(text: str, start: int, names: Names, *, opened: bool = False) -> Reading:
    """Reads the value that starts at ``start``.

    Args:
        text: Holds the value somewhere.
        start: Where its first character stands: a bracket, mostly.
        names: What keys may be called.
        opened: Reads as if an opening brace stood before ``start``: a record whose braces are missing.

    Raises:
        NotNotation: There is none.
    """
    if not opened:
        try:
            value, end = _STRICT.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            return Reading(value, end)
    return _Reader(text, start, names).read(opened=opened)


class _Reader(StringScanner):
    """Reads brackets and what stands between them."""

    def read(self, *, opened: bool) -> Reading:
        if opened:
            self._open("{", {})
        else:
            self._value()
        while self._stack:
            frame = self._stack[-1]
            if type(frame.items) is dict:
                self._member(frame)
            else:
                self._item(frame)
        return Reading(self._root, self._at, self._repairs, self._cut)

    def _stray(self) -> None:
        self._strays += 1
        sign = self._sign(self._at)
        in_list = bool(self._stack) and type(self._stack[-1].items) is list
        if self._strays > _MOST_STRAYS or sign in "{[" or sign.isalnum() or (sign == ":" and in_list):
            raise NotNotation(self._at)
        self._note("stray-character")
        self._at += 1

    def _open(self, bracket: str, items: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise NotNotation(self._at)
        self._stack.append(Frame(CLOSERS[bracket], items))

    def _add(self, value: Any) -> None:
        if not self._stack:
            self._root = value
            return
        frame = self._stack[-1]
        if type(frame.items) is dict:
            assert frame.key is not None
            frame.items[frame.key] = value
            frame.key = None
        else:
            frame.items.append(value)

    def _close(self) -> None:
        self._add(self._stack.pop().items)

    def _close_at_bracket(self) -> None:
        self._at += 1
        self._close()
        if self._stack:
            self._separator(self._stack[-1])

    def _end_of_text(self) -> None:
        """Closes what is open, and sees whether more was to come."""
        top = self._stack[-1]
        if top.key is not None or not top.items or self._text[: self._at].rstrip().endswith(","):
            top.key, self._cut = None, True
        self._note("unclosed")
        while self._stack:
            self._close()

    def _closing(self, sign: str) -> None:
        """A closing bracket; the ones that it skips were forgotten."""
        if sign == self._stack[-1].closer:
            self._close_at_bracket()
            return
        if not any(frame.closer == sign for frame in self._stack):
            if len(self._stack) == 1 and self._after_white(self._at + 1) >= len(self._text):
                self._note("unclosed")  # the wrong bracket at the very end
                self._close_at_bracket()
            else:
                self._stray()
            return
        if self._list_goes_on():
            self._stray()
            return
        self._note("unclosed")
        root_goes_on = len(self._stack) == 2 and sign == self._stack[0].closer and self._member_follows()
        while not root_goes_on and self._stack[-1].closer != sign:
            self._close()
        self._close_at_bracket()

    def _list_goes_on(self) -> bool:
        """Whether the open list ends or has its next record after this bracket, which is one too many then."""
        if self._stack[-1].closer != "]":
            return False
        after = self._after_white(self._at + 1)
        return self._sign(after) == "]" or (
            self._sign(after) == "," and self._sign(self._after_white(after + 1)) == "{"
        )

    def _member_follows(self) -> bool:
        after = self._after_white(self._at + 1)
        return self._sign(after) == "," and self._key_at(self._after_white(after + 1))

    def _member(self, frame: Frame) -> None:
        plain = PLAIN_KEY.match(self._text, self._at)
        if plain is not None and frame.key is None:
            frame.key, self._at = plain[plain.lastindex or 1], plain.end()
            if plain.lastindex != 1:
                self._note("quotes" if plain.lastindex == 2 else "unquoted-key")
            self._member_value(frame)
            return
        sign = self._next()
        if sign == "":
            self._end_of_text()
        elif sign in "}])":
            self._closing(sign)
        elif sign in ",;":
            self._commas()
        elif sign in "\"'" and (lost := LOST_END.match(self._text, self._at)) and self._names.known(lost[1]):
            frame.key, self._at = lost[1], lost.end() - 1
            self._note("quotes")
            self._colon(frame)
        elif sign in QUOTES:
            key = self._string(sign, is_key=True)
            frame.key = key[:-1] if key.endswith(":") and self._names.known(key) else key
            self._colon(frame)
        elif (lost := LOST_START.match(self._text, self._at)) and self._names.known(lost[1]):
            frame.key, self._at = lost[1], lost.end() - 1
            self._note("quotes")
            self._colon(frame)
        elif sign == "{" and frame.items and len(self._stack) > 1 and type(self._stack[-2].items) is list:
            self._note("unclosed")  # the record before this one was not closed
            self._close()
        elif (bare := FIRST_KEY.match(self._text, self._at)) is not None:
            frame.key, self._at = bare[1].strip("*"), bare.end()
            self._note("unquoted-key")
            self._colon(frame)
        elif sign in "{[" and not frame.items:
            self._as_set(frame)
        else:
            self._set_or_stray(frame)

    def _set_or_stray(self, frame: Frame) -> None:
        """A token without a colon: an element of Python's set, if nothing but such has come."""
        if frame.items or SET_TOKEN.match(self._text, self._at) is None:
            self._stray()
        else:
            self._as_set(frame)

    def _as_set(self, frame: Frame) -> None:
        self._note("python-literal")
        frame.items = []

    def _colon(self, frame: Frame) -> None:
        sign = self._next()
        if sign == ":":
            plain = self._text[self._at] == ":"
            end = COLONS.match(self._text, self._at).end()  # type: ignore[union-attr] # one is there
            if not plain or end > self._at + 1:
                self._note("colon")
            self._at = end
        elif sign == "=":
            self._note("colon")
            self._at += 2 if self._text.startswith("=>", self._at) else 1
        elif sign in ("", ",", "}"):
            if sign and not frame.items and frame.key is not None:
                first, frame.key = frame.key, None
                self._as_set(frame)
                frame.items.append(first)
                self._separator(frame)
                return
            if sign == "":
                return
            raise NotNotation(self._at)
        else:
            self._note("colon")
        self._member_value(frame)

    def _member_value(self, frame: Frame) -> None:
        plain = PLAIN_IN_OBJECT.match(self._text, self._at)
        if plain is not None:
            frame.items[frame.key] = self._plain(plain)
            frame.key, self._at = None, plain.end()
            return
        sign = self._next()
        if sign in ("", ",", "}"):
            if sign == "":
                return
            self._note("stray-character")
            frame.key = None  # a key without a value says nothing
            return
        self._value()
        if self._stack and self._stack[-1] is frame:
            self._separator(frame)

    def _plain(self, found: re.Match[str]) -> str:
        kind = found.lastindex or 1
        if kind == 2:
            self._note("quotes")
        if self._text[found.end()] in "}]" and "," in self._text[found.end(kind) : found.end()]:
            self._note("comma")
        return Bare(found[kind]) if kind == 3 else found[kind]

    def _item(self, frame: Frame) -> None:
        plain = PLAIN_IN_LIST.match(self._text, self._at)
        if plain is not None:
            frame.items.append(self._plain(plain))
            self._at = plain.end()
            return
        sign = self._next()
        if sign == "":
            self._end_of_text()
        elif sign in "}])":
            self._closing(sign)
        elif sign in ",;":
            self._commas()
        else:
            self._value()
            if self._stack and self._stack[-1] is frame:
                self._separator(frame)

    def _commas(self) -> None:
        """Goes over commas that nothing stands between."""
        self._note("comma")
        self._at = COMMAS.match(self._text, self._at).end()  # type: ignore[union-attr] # one is there

    def _separator(self, frame: Frame) -> None:
        """Goes over the comma after a value; where it is missing the next value must be plain to see."""
        sign = self._next()
        if sign == ",":
            self._at += 1
            after = self._next()
            if after == frame.closer:
                self._note("comma")
        elif sign == ";":
            self._note("comma")
            self._at += 1
        elif sign not in ("", "}", "]", ")"):
            follows = self._key_at(self._at) if type(frame.items) is dict else self._item_at(self._at)
            if follows:
                self._note("missing-comma")
            else:
                self._stray()

    def _value(self) -> None:
        sign = self._next()
        call = CALL.match(self._text, self._at)
        if call is not None or (sign == "(" and self._tuple_at(self._at)):
            self._note("python-literal")
            self._at = self._at + 1 if call is None else call.end()
            self._open("(", {} if call is not None else [])
        elif sign and sign in "{[":
            self._at += 1
            self._open(sign, {} if sign == "{" else [])
        elif sign and sign in QUOTES:
            self._add(self._text_value(sign))
        elif (prefix := PREFIX.match(self._text, self._at)) is not None:
            self._note("python-literal")
            self._at = prefix.end()
            self._add(self._text_value(self._sign(self._at), raw=prefix[1] in "rR"))
        else:
            self._add(self._bare())

    def _tuple_at(self, at: int) -> bool:
        inside = self._after_white(at + 1)
        return self._sign(inside) == ")" or self._item_at(inside)

    def _bare(self) -> str:
        """A value without quotes, up to what ends it."""
        text, start = self._text, self._at
        if (token := TOKEN.match(text, start)) is not None and self._ends_token(token.end()):
            self._at = token.end()
            if token[0] in PYTHON_LITERALS:
                self._note("python-literal")
            return Bare(token[0])
        at = start
        while (found := BARE_END.search(text, at)) is not None:
            at = found.start()
            if self._ends_bare(at):
                break
            at = found.end()
        else:
            at = len(text)
        word = text[start:at].strip()
        if word in ("", "...", "\u2026"):  # nothing, or something that was left out
            raise NotNotation(self._at)
        self._refuse_swallowed(word)
        self._at = at
        if word in PYTHON_LITERALS:
            self._note("python-literal")
        elif word not in LITERALS and not NUMBER.fullmatch(word):
            self._note("unquoted-value")
        if word.endswith(('"', "'")) and word.count(word[-1]) == 1 and "\\" not in word:
            return word[:-1]  # only the opening quote was forgotten
        if '"' in word:
            raise NotNotation(at)
        return Bare(word)

    def _ends_token(self, end: int) -> bool:
        """Whether a number or literal is all of a value: no digits or words come behind it."""
        at = self._after_white(end)
        sign = self._sign(at)
        if sign in ("", "}", "]"):
            return True
        if sign in ",;":
            return not self._sign(self._after_white(at + 1)).isdigit()
        if type(self._stack[-1].items) is dict:
            return (at > end or sign in QUOTES) and self._key_at(at)
        return at > end and self._item_at(at)

    def _ends_bare(self, at: int) -> bool:
        text, frame = self._text, self._stack[-1]
        sign = self._sign(at)
        if sign == ")":
            return frame.closer == ")"
        if sign in "}]":
            return True
        if sign == "/":
            return text[at - 1] in " \t\n"
        if sign == "#":
            return True
        after = self._after_white(at + 1)
        if type(frame.items) is list or self._sign(after) in ("", "}", "]", ",", frame.closer):
            return True
        if sign == "," and text.startswith(("//", "/*", "# "), after):
            return True
        return self._key_at(after)
