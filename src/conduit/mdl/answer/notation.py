"""Reading text that means to be JSON: quotes of any kind, missing commas, comments, Python's literals and more.

One pass over the text, without recursion and without going back more than once: time and memory grow with the text
alone, whatever it holds. Types play one part only: the names of their fields help to tell where a string ends and
what is a key. What a value means is for ``coerce`` to say; a token that stood without quotes keeps its text.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any, Final

from conduit.mdl.answer.names import Names
from conduit.mdl.answer.repairs import Repair, repair

MAX_DEPTH: Final = 100  # of brackets; an answer nested deeper is read strictly or not at all
_MOST_REPAIRS: Final = 20_000
_MOST_STRAYS: Final = 12  # characters that belong to nothing, before a text is prose and no value


class Bare(str):
    """The text of a token without quotes: a number, a literal, or words that ought to have had quotes."""

    __slots__ = ()


class NotNotation(Exception):
    """The text is no JSON, not even by its intention, from ``at`` on. Never leaves this package."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


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


_CLOSERS: Final = {"{": "}", "[": "]", "(": ")"}
_QUOTES: Final = {
    '"': '"', "'": "'", "`": "`", "\u201c": '\u201d\u201c"', "\u201d": '\u201d"', "\u2018": "\u2019\u2018'",
    "\u2019": "\u2019'", "\u00ab": "\u00bb", "\u201e": '\u201c\u201d"', "\uff02": "\uff02",
}  # fmt: skip
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_FULL_WIDTH: Final = {
    "\uff5b": "{",
    "\uff5d": "}",
    "\uff3b": "[",
    "\uff3d": "]",
    "\uff1a": ":",
    "\uff0c": ",",
    "\u3001": ",",
}

_WHITE = re.compile(r"\s*")
_PLAIN_KEY = re.compile(
    r"""(?:"([^"\\\x00-\x1f]*)"|'([^'"\\\x00-\x1f]*)'|([A-Za-z_]\w*))[ \t\n\r]*:[ \t\n\r]*(?![:\s/])"""
)
# A plain value with what must follow it, so that a quote within a text is not taken for its end.
_PLAIN_VALUE = (
    r"""(?:"([^"\\\x00-\x1f]*)"|'([^'\\\x00-\x1f]*)'|(-?(?:0|[1-9]\d*)(?:\.\d+)?|true|false|null))"""
    r"[ \t\n\r]*"
)
_KEY_AHEAD = r"""(?:"[^"\\\n]{0,80}"|'[^'\\\n]{0,80}'|[A-Za-z_$][\w$-]{0,60})[ \t\n\r]*:"""
_PLAIN_IN_OBJECT = re.compile(_PLAIN_VALUE + r"(?:,[ \t\n\r]*(?=\}|" + _KEY_AHEAD + r")|(?=\}))")
_PLAIN_IN_LIST = re.compile(_PLAIN_VALUE + r"""(?:,[ \t\n\r]*(?=["{\[\]\-0-9]|true|false|null)|(?=\]))""")
_STRING_RUN = {quote: re.compile(rf"[^{re.escape(ends)}\\\x00-\x1f]*") for quote, ends in _QUOTES.items()}

# Keys: with their colon, and with one slip each that a known name makes up for.
_COLON_AHEAD = r"\s{0,20}(?::(?!//)|=(?!=)|\uff1a)"
_QUOTED_KEY = re.compile(
    r"""(?:"{1,2}[^"\n]{0,100}"{1,2}|'[^'\n]{0,100}'|`[^`\n]{0,100}`|\u201c[^\u201d\n]{0,100}\u201d"""
    r"""|\u00ab[^\u00bb\n]{0,100}\u00bb|\u2018[^\u2019\n]{0,100}\u2019|\uff02[^\uff02\n]{0,100}\uff02)"""
    + _COLON_AHEAD
)
_BARE_KEY = re.compile(
    r"""([A-Za-z_$\u00c0-\uffff][^\n"'{}\[\],:=]{0,60}?|-?\d+(?:\.\d+)?)\s{0,20}(?::(?!//)|=>|\uff1a)"""
)
_FIRST_KEY = re.compile(r"""([^\s"'`{}\[\],:=][^\n"{}\[\],:=]{0,100}?)\s{0,20}(?=:|=|\uff1a)""")
QUOTED_NAME = re.compile(r"""["']([^"'\n]{1,60})["']\s{0,20}:""")
_LOST_END = re.compile(r"""["']([^"':\n]{1,60}?)\s{0,20}:""")
_LOST_START = re.compile(r"""([A-Za-z_]\w{0,60})["']\s{0,20}:""")
_NO_COLON = re.compile(r"""["']([^"'\n]{1,60})["']\s{0,20}(?=[{\["'\d-]|true|false|null)""")
_ASSIGNED = re.compile(r"([A-Za-z_]\w{0,60})\s{0,20}=(?!=)")
_COLONS = re.compile(r"[:\uff1a]+")

_ORDINARY: Final = frozenset("\"'{}[],:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_LITERALS: Final = frozenset({"true", "false", "null"})
_PYTHON_LITERALS: Final = frozenset({"True", "False", "None", "undefined", "nil", "NULL", "TRUE", "FALSE"})
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TOKEN = re.compile(rf"(?:{_NUMBER.pattern}|true|false|null|True|False|None)(?![\w.])")
_VALUE_START = re.compile(r"\s*(?:-?\d|true|false|null|True|False|None)")
_ITEM_START = re.compile(
    r"""["'`{\[(\u201c\u2018\u00ab\uff02\uff5b\uff3b\-\d]|(?:true|false|null|True|False|None)\b"""
)
_QUOTED_ITEM = re.compile(r"""(?:(["'])[^"'\n]{0,200}\1|\u201c[^\u201d\n]{0,200}\u201d)\s*[,\]"'\u201c]""")
_SET_TOKEN = re.compile(r"(?:-?\d[\d.]*|true|false|True|False)(?=\s*[,}])")
_BARE_END = re.compile(r"[,;\n}\])\uff0c\u3001\uff5d\uff3d]|//|/\*|(?<=\s)#\s")
_COMMAS = re.compile(r"[,;\uff0c\u3001\s]+")

_AGAIN = re.compile(r"[\"'](?=\s*:)")
_CLOSING_FIRST = re.compile(r'[^"]*[^\s"(\[{\d=:,-]"\s*[,:}\]]')
_INCHES = re.compile(r'\d"(?=\s+\w)')
_FENCE_TAG = re.compile(r"[\w+-]*[ \t]*\n")
_DOUBLED = re.compile(r'""([^"\\\n]+)""(?=\s*[:,}\]])')
_PREFIX = re.compile(r"([rRuU])(?=[\"'](?!\s*[,:}\]]))")
_JOIN = re.compile(r"""\s*\+\s*(?=["'])""")
_CALL = re.compile(r"[A-Za-z_]\w{0,60}\((?=\s*(?:[A-Za-z_]\w{0,60}\s*=|\)))")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_CODE_POINT = re.compile(r"\{([0-9a-fA-F]{1,6})\}")


@dataclass(slots=True)
class _Frame:
    """An open bracket. ``key`` waits for its value; ``items`` is a list or dict being filled."""

    closer: str
    items: Any
    key: str | None = None


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


class _Reader:
    def __init__(self, text: str, start: int, names: Names) -> None:
        self._text, self._at, self._names = text, start, names
        self._stack: list[_Frame] = []
        self._repairs: list[Repair] = []
        self._strays = 0
        self._first_quote_ends = False  # set once a string ran to the end of the text
        self._no_comment_end = False
        self._cut = False
        self._root: Any = None

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

    # -- places in the text ------------------------------------------------------------------------

    def _next(self) -> str:
        """Goes over white space and comments; the character there, or nothing at the end."""
        text = self._text
        sign = text[self._at : self._at + 1]
        if sign in _ORDINARY:
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
        return _FULL_WIDTH.get(sign, sign)

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

    def _stray(self) -> None:
        self._strays += 1
        sign = self._sign(self._at)
        in_list = bool(self._stack) and type(self._stack[-1].items) is list
        if self._strays > _MOST_STRAYS or sign in "{[" or sign.isalnum() or (sign == ":" and in_list):
            raise NotNotation(self._at)
        self._note("stray-character")
        self._at += 1

    # -- brackets ----------------------------------------------------------------------------------

    def _open(self, bracket: str, items: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise NotNotation(self._at)
        self._stack.append(_Frame(_CLOSERS[bracket], items))

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

    def _after_white(self, at: int) -> int:
        return _WHITE.match(self._text, at).end()  # type: ignore[union-attr] # it always matches

    # -- members and items -------------------------------------------------------------------------

    def _member(self, frame: _Frame) -> None:
        plain = _PLAIN_KEY.match(self._text, self._at)
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
        elif sign in "\"'" and (lost := _LOST_END.match(self._text, self._at)) and self._names.known(lost[1]):
            frame.key, self._at = lost[1], lost.end() - 1
            self._note("quotes")
            self._colon(frame)
        elif sign in _QUOTES:
            key = self._string(sign, is_key=True)
            frame.key = key[:-1] if key.endswith(":") and self._names.known(key) else key
            self._colon(frame)
        elif (lost := _LOST_START.match(self._text, self._at)) and self._names.known(lost[1]):
            frame.key, self._at = lost[1], lost.end() - 1
            self._note("quotes")
            self._colon(frame)
        elif sign == "{" and frame.items and len(self._stack) > 1 and type(self._stack[-2].items) is list:
            self._note("unclosed")  # the record before this one was not closed
            self._close()
        elif (bare := _FIRST_KEY.match(self._text, self._at)) is not None:
            frame.key, self._at = bare[1].strip("*"), bare.end()
            self._note("unquoted-key")
            self._colon(frame)
        elif sign in "{[" and not frame.items:
            self._as_set(frame)
        else:
            self._set_or_stray(frame)

    def _set_or_stray(self, frame: _Frame) -> None:
        """A token without a colon: an element of Python's set, if nothing but such has come."""
        if frame.items or _SET_TOKEN.match(self._text, self._at) is None:
            self._stray()
        else:
            self._as_set(frame)

    def _as_set(self, frame: _Frame) -> None:
        self._note("python-literal")
        frame.items = []

    def _colon(self, frame: _Frame) -> None:
        sign = self._next()
        if sign == ":":
            plain = self._text[self._at] == ":"
            end = _COLONS.match(self._text, self._at).end()  # type: ignore[union-attr] # one is there
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

    def _member_value(self, frame: _Frame) -> None:
        plain = _PLAIN_IN_OBJECT.match(self._text, self._at)
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

    def _item(self, frame: _Frame) -> None:
        plain = _PLAIN_IN_LIST.match(self._text, self._at)
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
        self._at = _COMMAS.match(self._text, self._at).end()  # type: ignore[union-attr] # one is there

    def _separator(self, frame: _Frame) -> None:
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

    def _key_at(self, at: int) -> bool:
        """Whether a key with its colon stands there."""
        text = self._text
        if _QUOTED_KEY.match(text, at) is not None:
            return True
        if (bare := _BARE_KEY.match(text, at)) is not None and self._names.possible(bare[1].strip()):
            return True
        if self._stack[-1].closer == ")":
            return _ASSIGNED.match(text, at) is not None
        named = _ASSIGNED.match(text, at) or _NO_COLON.match(text, at) or _LOST_END.match(text, at)
        named = named or _LOST_START.match(text, at)
        return named is not None and self._names.known(named[1])

    def _item_at(self, at: int) -> bool:
        return _ITEM_START.match(self._text, at) is not None

    # -- values ------------------------------------------------------------------------------------

    def _value(self) -> None:
        sign = self._next()
        call = _CALL.match(self._text, self._at)
        if call is not None or (sign == "(" and self._tuple_at(self._at)):
            self._note("python-literal")
            self._at = self._at + 1 if call is None else call.end()
            self._open("(", {} if call is not None else [])
        elif sign and sign in "{[":
            self._at += 1
            self._open(sign, {} if sign == "{" else [])
        elif sign and sign in _QUOTES:
            self._add(self._string(sign, is_key=False))
        elif (prefix := _PREFIX.match(self._text, self._at)) is not None:
            self._note("python-literal")
            self._at = prefix.end()
            self._add(self._string(self._sign(self._at), is_key=False, raw="r" in prefix[1].lower()))
        else:
            self._add(self._bare())

    def _tuple_at(self, at: int) -> bool:
        inside = self._after_white(at + 1)
        return self._sign(inside) == ")" or self._item_at(inside)

    def _bare(self) -> str:
        """A value without quotes, up to what ends it."""
        text, start = self._text, self._at
        if (token := _TOKEN.match(text, start)) is not None and self._ends_token(token.end()):
            self._at = token.end()
            if token[0] in _PYTHON_LITERALS:
                self._note("python-literal")
            return Bare(token[0])
        at = start
        while (found := _BARE_END.search(text, at)) is not None:
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
        if word in _PYTHON_LITERALS:
            self._note("python-literal")
        elif word not in _LITERALS and not _NUMBER.fullmatch(word):
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
            return (at > end or sign in _QUOTES) and self._key_at(at)
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

    # -- strings -----------------------------------------------------------------------------------

    def _string(self, quote: str, *, is_key: bool, raw: bool = False) -> str:
        text, opening = self._text, self._at
        doubled = quote == '"' and _DOUBLED.match(text, opening)
        if doubled:
            self._note("quotes")
            self._at = doubled.end()
            return doubled[1]
        if text.startswith(quote * 3, opening) and quote in "\"'`":
            return self._triple(quote)
        if quote != '"':
            self._note("quotes")
        run = _STRING_RUN[quote]
        at = opening + 1
        parts: list[str] = []
        first_end: tuple[int, int] | None = None  # where the first quote stood, and how many parts it had
        while True:
            found = run.match(text, at)
            assert found is not None
            parts.append(found[0])
            at = found.end()
            if at >= len(text):
                return self._ran_out(parts, first_end)
            sign = text[at]
            if sign == "\\" and raw:
                parts.append(text[at : at + 2])
                at += 2
            elif sign == "\\":
                at = self._escape(at, parts)
            elif sign < " ":
                if not self._repairs or self._repairs[-1].kind != "control-character":
                    self._note("control-character")
                parts.append(sign)
                at += 1
            elif (
                self._first_quote_ends
                or self._ends_string(at + 1, is_key=is_key)
                or (is_key and _VALUE_START.match(text, at + 1) and self._names.known("".join(parts)))
            ):
                self._at = at + 1
                if is_key and (again := _AGAIN.match(text, self._at)) is not None:
                    self._note("quotes")
                    self._at = again.end()
                if first_end is not None:
                    parts = [self._with_inner_quotes("".join(parts), sign)]
                return "".join(parts) + self._joined(quote, is_key=is_key)
            elif not is_key and first_end is None and self._next_key_at(at, parts):
                self._note("quotes")  # the string before this key was not closed
                self._at = at
                return "".join(parts).rstrip().removesuffix(",")
            else:
                if first_end is None:
                    first_end = at, len(parts)
                parts.append(sign)
                at += 1

    def _with_inner_quotes(self, text: str, quote: str) -> str:
        """A text in which quotes stand that ought to have been escaped; they come in pairs, or mark inches."""
        self._note("inner-quote")
        self._refuse_swallowed(text)
        if _CLOSING_FIRST.match(text):
            raise NotNotation(self._at)
        if quote != '"' or (text.count(quote) - len(_INCHES.findall(text))) % 2 == 0:
            return text
        if text.startswith(quote):
            return text[1:]  # the quote was written twice
        if text.endswith(quote) and not text[-2:-1].isdigit():
            return text[:-1]
        raise NotNotation(self._at)

    def _refuse_swallowed(self, text: str) -> None:
        """A text that holds another field's key has swallowed that field."""
        if any(self._names.known(name[1]) for name in QUOTED_NAME.finditer(text)):
            raise NotNotation(self._at)

    def _joined(self, quote: str, *, is_key: bool) -> str:
        """What a string goes on with after a plus sign."""
        if is_key or quote not in "\"'" or (plus := _JOIN.match(self._text, self._at)) is None:
            return ""
        self._note("python-literal")
        self._at = plus.end()
        return self._string(self._text[self._at], is_key=False)

    def _next_key_at(self, at: int, parts: list[str]) -> bool:
        quoted = QUOTED_NAME.match(self._text, at)
        before = next((part for part in reversed(parts) if part.strip()), "")
        return quoted is not None and before.rstrip().endswith(",") and self._names.known(quoted[1])

    def _ran_out(self, parts: list[str], first_end: tuple[int, int] | None) -> str:
        """The string did not end where it should: at its first quote then, or not at all."""
        if first_end is None:
            self._cut = True
            self._at = len(self._text)
            return "".join(parts)
        self._first_quote_ends = True
        self._note("inner-quote")
        self._at = first_end[0] + 1
        return "".join(parts[: first_end[1]])

    def _triple(self, quote: str) -> str:
        self._note("quotes")
        start = self._at + 3
        end = self._text.find(quote * 3, start)
        if end < 0:
            self._cut = True
            self._at = len(self._text)
            return self._text[start:]
        self._at = end + 3
        inside = self._text[start:end]
        if quote == "`" and (tagged := _FENCE_TAG.match(inside)) is not None:
            return textwrap.dedent(inside[tagged.end() :]).rstrip()  # code in a fence of its own
        return inside

    def _escape(self, at: int, parts: list[str]) -> int:
        """Adds what the backslash at ``at`` means; where the text after it starts."""
        sign = self._text[at + 1 : at + 2]
        if sign in ('"', "\\", "/"):
            parts.append(sign)
        elif sign in _ESCAPES and sign:
            parts.append(_ESCAPES[sign])
        elif sign == "u" and _HEX.match(self._text, at + 2):
            return self._unicode(at, parts)
        elif (
            sign == "u" and (point := _CODE_POINT.match(self._text, at + 2)) and int(point[1], 16) < 0x110000
        ):
            self._note("escape")
            parts.append(chr(int(point[1], 16)))
            return point.end()
        else:
            # No escape of JSON: a quote of another kind, or a backslash that ought to have been doubled.
            self._note("escape")
            parts.append("" if sign == "\n" else sign if sign in ("'", "`", "") else "\\" + sign)
        return at + 1 + len(sign)

    def _unicode(self, at: int, parts: list[str]) -> int:
        code = int(self._text[at + 2 : at + 6], 16)
        after = at + 6
        if 0xD800 <= code < 0xDC00 and self._text.startswith("\\u", after):
            low = _HEX.match(self._text, after + 2)
            if low is not None and 0xDC00 <= int(low[0], 16) < 0xE000:
                code = 0x10000 + ((code - 0xD800) << 10) + int(low[0], 16) - 0xDC00
                after += 6
        if 0xD800 <= code < 0xE000:
            self._note("escape")
            code = 0xFFFD  # half a pair means no character
        parts.append(chr(code))
        return after

    def _ends_string(self, after: int, *, is_key: bool) -> bool:
        """Whether a quote that stands before ``after`` ends its string, by what follows."""
        text = self._text
        at = self._after_white(after)
        sign = self._sign(at)
        if is_key:
            return sign == "" or sign in ":=},{[" or sign in _QUOTES
        if sign == "" or not self._stack:
            return True
        frame = self._stack[-1]
        in_object = type(frame.items) is dict
        if sign in "}])":
            return sign == frame.closer or any(other.closer == sign for other in self._stack)
        if sign in ",;":
            following = _COMMAS.match(text, at).end()  # type: ignore[union-attr] # one is there
            next_sign = self._sign(following)
            if next_sign in ("", "}", "]", ")") or text.startswith(("//", "/*", "#"), following):
                return True
            return self._key_at(following) if in_object else self._item_at(following)
        if sign == "+" and _JOIN.match(text, after):
            return True
        if text.startswith(("//", "/*"), at) or (sign == "#" and at > after):
            return True
        if at == after:
            if not in_object:
                return _QUOTED_ITEM.match(text, at) is not None
            named = QUOTED_NAME.match(text, at)
            return named is not None and self._names.known(named[1])
        if in_object:
            return self._key_at(at)
        return self._item_at(at) and ("\n" in text[after:at] or _QUOTED_ITEM.match(text, at) is not None)
