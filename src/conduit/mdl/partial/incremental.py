"""An incremental reader of JSON that follows a form: what of an answer can be shown while it is being written.

It takes pieces of any size, never looks back, and does the same work for a piece however much came before. Its
result after some characters does not depend on how they were cut. It is no judge: what fits the form so far is
shown, what does not is read over, and at the first character that no JSON goes on with it stops. Whether the
answer is a value is for ``parse`` to say, which sees all of it.

Beyond JSON it takes what has one meaning only: control characters in strings and a comma behind the last item.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from conduit.mdl.form import Document
from conduit.mdl.partial.places import Place, Places
from conduit.mdl.partial.preamble import Preamble
from conduit.mdl.partial.snapshot import MISSING, Container, GrowingText, Level, Snapshot

MAX_DEPTH: Final = 200
_MOST_FALSE_STARTS: Final = 100  # brackets in prose
_MAX_WORD: Final = 600  # characters of a number or literal; Python reads that many digits under any setting

_SPACE = re.compile(r"[ \t\n\r]*")
_TEXT = re.compile(r'[^"\\\ud800-\udfff]*')
_WORD = re.compile(r"[-+.0-9A-Za-z]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
# What may follow a backslash and ``u``, or the beginning of it: one character, or two halves of one.
_UNICODE = re.compile(
    r"u(?:[0-9a-fA-F]{0,4}|[dD][89abAB][0-9a-fA-F]{2}\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]{0,2})?)?)?)"
)
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: Final = {"true": True, "false": False, "null": None}
_CLOSING: Final = {"{": "}", "[": "]"}
_DELIMITERS: Final = frozenset(" \t\n\r,]}")

_Step: TypeAlias = Callable[[str, int], int]


class _Frame:
    """A list or an object that is open. ``content`` is ``None`` while it is only read over."""

    __slots__ = ("content", "count", "key", "opened_by", "place", "stalled")

    def __init__(self, opened_by: str, place: Place | None, content: Container | None) -> None:
        self.opened_by = opened_by
        self.place = place
        self.content = content
        self.count = 0  # items begun, also those that are read over
        self.key = ""  # the name of the member that is being read
        self.stalled = False  # an item did not fit; those behind it would stand at a wrong index


class Reader:
    """One reading of one answer.

    Each state is a method that takes a text and a position in it and returns the position it has come to; it has
    read at least one character or left for another state.
    """

    def __init__(self, root: Place) -> None:
        self._root = root
        self._grew = False
        self._shown = False
        self._false_starts = 0
        self._preamble = Preamble(root)
        self._begin()

    def _begin(self) -> None:
        """A base frame holds the root as its only item."""
        self._base = _Frame("", None, [])
        self._frames = [self._base]
        self._place: Place | None = self._root
        self._text: GrowingText | None = None
        self._grows = False  # the open string is shown while it grows
        self._is_key = False
        self._pending = ""  # of an escape or a word
        self._step: _Step = self._before

    def feed(self, piece: str) -> bool:
        """Reads a piece; tells whether there is more to see than before."""
        self._grew = False
        at, end = 0, len(piece)
        while at < end:
            at = self._step(piece, at)
        self._shown = self._shown or self._grew
        return self._grew

    def snapshot(self) -> Snapshot:
        """What there is to see now."""
        levels: list[Level] = []
        for frame in self._frames:
            if frame.content is None:
                return Snapshot(tuple(levels))
            levels.append(Level(frame.content, len(frame.content), frame.key))
        growing = (self._text, len(self._text.parts)) if self._text is not None and self._grows else None
        return Snapshot(tuple(levels), growing)

    def _before(self, text: str, at: int) -> int:
        at = self._preamble.skip(text, at)
        if self._preamble.over:
            self._step = self._value
        return at

    # Structure

    def _value(self, text: str, at: int) -> int:
        at = _run(_SPACE, text, at)
        if at == len(text):
            return at
        sign = text[at]
        if sign == '"':
            self._open_string(self._place)
            return at + 1
        if sign in _CLOSING:
            return self._open(sign, at)
        if _run(_WORD, text, at) > at:
            self._pending = ""
            self._step = self._word
            return at
        return self._defect(at)

    def _open(self, sign: str, at: int) -> int:
        if len(self._frames) > MAX_DEPTH:
            return self._defect(at)
        if self._place is not None and sign in self._place.opens:
            self._frames.append(_Frame(sign, self._place, {} if sign == "{" else []))
        else:
            self._frames.append(_Frame(sign, None, None))
        self._step = self._member if sign == "{" else self._item
        return at + 1

    def _close(self) -> None:
        frame = self._frames.pop()
        if len(self._frames) == 1 and not frame.content and not self._root.empty(frame.opened_by):
            self._restart()
            return
        self._end(MISSING if frame.content is None else frame.content, new=not frame.content)

    def _item(self, text: str, at: int) -> int:
        at = _run(_SPACE, text, at)
        if at == len(text):
            return at
        frame = self._frames[-1]
        if text[at] == "]":
            self._close()
            return at + 1
        self._place = None if frame.place is None or frame.stalled else frame.place.item(frame.count)
        frame.count += 1
        self._step = self._value
        return at

    def _member(self, text: str, at: int) -> int:
        at = _run(_SPACE, text, at)
        if at == len(text):
            return at
        if text[at] == "}":
            self._close()
            return at + 1
        if text[at] != '"':
            return self._defect(at)
        self._open_string(None)
        self._text, self._is_key = GrowingText(), True
        return at + 1

    def _colon(self, text: str, at: int) -> int:
        at = _run(_SPACE, text, at)
        if at == len(text):
            return at
        if text[at] != ":":
            return self._defect(at)
        self._step = self._value
        return at + 1

    def _after(self, text: str, at: int) -> int:
        at = _run(_SPACE, text, at)
        if at == len(text):
            return at
        frame = self._frames[-1]
        if text[at] == ",":
            self._step = self._member if frame.opened_by == "{" else self._item
        elif text[at] == _CLOSING[frame.opened_by]:
            self._close()
        else:
            return self._defect(at)
        return at + 1

    def _end(self, value: Any, *, new: bool) -> None:
        """A value is complete. ``new``: nothing of it was to be seen before; ``MISSING``: it does not fit."""
        frame = self._frames[-1]
        if value is MISSING:
            frame.stalled = True
        elif isinstance(frame.content, list):
            frame.content.append(value)
            self._grew = self._grew or new
        elif frame.content is not None:
            frame.content[frame.key] = value
            self._grew = self._grew or new
        if frame is not self._base:
            self._step = self._after
        elif value is MISSING:
            self._restart()
        else:
            self._step = self._stopped

    # Strings

    def _open_string(self, place: Place | None) -> None:
        self._is_key = False
        self._grows = place is not None and place.text_grows
        self._text = None if place is None else GrowingText()
        self._step = self._string

    def _string(self, text: str, at: int) -> int:
        end = _run(_TEXT, text, at)
        if end > at:
            self._add(text[at:end])
        if end == len(text):
            return end
        if text[end] == '"':
            self._close_string()
            return end + 1
        if text[end] != "\\":
            return self._defect(end)
        self._pending = ""
        self._step = self._escape
        return end + 1

    def _add(self, part: str) -> None:
        if self._text is not None:
            self._text.parts.append(part)
            self._grew = self._grew or self._grows

    def _close_string(self) -> None:
        text, self._text = self._text, None
        if text is None:
            self._end(MISSING, new=False)
            return
        whole = text.text(len(text.parts))
        if self._is_key:
            self._enter_member(whole)
        else:
            assert self._place is not None
            self._end(self._place.text(whole), new=not (self._grows and whole))

    def _enter_member(self, key: str) -> None:
        frame = self._frames[-1]
        found = None if frame.place is None else frame.place.member(key)
        self._place = None
        if found is not None and isinstance(frame.content, dict) and found[0] not in frame.content:
            frame.key, self._place = found
        self._step = self._colon

    def _escape(self, text: str, at: int) -> int:
        """Reads one character of what follows a backslash."""
        self._pending += text[at]
        sequence = self._pending
        if sequence in _ESCAPES:
            character = _ESCAPES[sequence]
        elif _UNICODE.fullmatch(sequence) is None:
            return self._defect(at)
        elif len(sequence) not in (5, 11):
            return at + 1
        else:
            character = json.loads(f'"\\{sequence}"')
            if "\ud800" <= character <= "\udbff":
                return at + 1
            if "\udc00" <= character <= "\udfff":
                return self._defect(at)
        self._add(character)
        self._step = self._string
        return at + 1

    # Numbers and literals

    def _word(self, text: str, at: int) -> int:
        end = _run(_WORD, text, at)
        if len(self._pending) + end - at > _MAX_WORD:
            return self._defect(at)
        self._pending += text[at:end]
        if end == len(text):
            return end
        value = _scalar(self._pending) if text[end] in _DELIMITERS else MISSING
        if value is MISSING:
            return self._defect(end)
        fits = self._place is not None and self._place.takes(value)
        self._end(value if fits else MISSING, new=True)
        return end

    # The end of reading

    def _defect(self, at: int) -> int:
        """No JSON goes on like this. What comes next is read from here, or not at all."""
        self._restart()
        return at

    def _restart(self) -> None:
        """Takes what came for prose, unless something of it was shown: then all ends here."""
        self._false_starts += 1
        if self._shown or self._grew or self._false_starts > _MOST_FALSE_STARTS:
            self._step = self._stopped
        else:
            self._begin()
            self._preamble.resume()

    def _stopped(self, text: str, _at: int) -> int:
        return len(text)


def partial_value(text: str, document: Document) -> Any:
    """What of the beginning of an answer can be shown, as plain JSON data; ``None`` when there is nothing."""
    reader = Reader(Places(document).root)
    reader.feed(text)
    value = reader.snapshot().value()
    return None if value is MISSING else value


def _run(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a run of such characters ends, which may be where it begins."""
    found = pattern.match(text, at)
    assert found is not None
    return found.end()


def _scalar(word: str) -> Any:
    if word in _LITERALS:
        return _LITERALS[word]
    number = _NUMBER.fullmatch(word)
    if number is None:
        return MISSING
    if number[1] is None and number[2] is None:
        return int(word)
    value = float(word)
    return value if math.isfinite(value) else MISSING
