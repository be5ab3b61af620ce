"""Regular expressions of schemas, read into a small tree. Reading takes linear time and no recursion.

What the libraries agree on is read as it is. What some of them lack or read otherwise (look-around, word
boundaries, back references, odd escapes) becomes something that matches more, and the tree is then not ``exact``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from conduit.mdl.lowering.dialects import Dialect

_MOST_CHARACTERS = 10_000
_MOST_GROUPS = 60  # one inside another

ANY = r"[\s\S]"


class BadPattern(ValueError):
    """The text is no regular expression in any dialect."""


class Unreadable(ValueError):
    """The dialects disagree on the text, or it is too large: no grammar should be made from it."""


@dataclass(frozen=True)
class Atom:
    """One character or class, as text of the target dialect. ``plain``: JSON writes all it matches as it is."""

    text: str
    plain: bool = True


@dataclass(frozen=True)
class Start:
    """The string's beginning."""


@dataclass(frozen=True)
class End:
    """The string's end."""


@dataclass(frozen=True)
class Group:
    """Alternatives, each a sequence. ``head`` is ``(?:`` or carries flags."""

    options: tuple[tuple[Node, ...], ...]
    head: str = "(?:"


@dataclass(frozen=True)
class Repeat:
    """A node several times; ``most`` is ``None`` without a limit."""

    node: Atom | Group
    least: int
    most: int | None


Node = Atom | Start | End | Group | Repeat


@dataclass
class _Open:
    """A group that is not closed yet. ``keep`` is false for what is read over: look-around."""

    head: str = "(?:"
    keep: bool = True
    options: list[tuple[Node, ...]] = field(default_factory=list)
    sequence: list[Node] = field(default_factory=list)

    def closed(self) -> Group:
        return Group((*self.options, tuple(self.sequence)), self.head)


_QUANTIFIER = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_COUNT_FROM_ZERO = re.compile(r"\{,\d+\}")
_GROUP_HEAD = re.compile(r"\?(?:P?<[A-Za-z_]\w*>|:)?")
_FLAGS = re.compile(r"\?([a-zA-Z]+)(:|\))")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|[xu]\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})")
_PROPERTY = re.compile(r"[pP](?:\{\^?[A-Za-z_=: ]+\}|[A-Z])")
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}


def read_pattern(pattern: str, dialect: Dialect) -> tuple[Group, bool]:
    """The tree of a pattern, and whether it matches just what the pattern does.

    Raises:
        BadPattern: It is no regular expression.
        Unreadable: It is one to some libraries and not to others, or it is too large.
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise Unreadable(f"it has {len(pattern)} characters")
    reader = _Reader(pattern, dialect)
    return reader.read(), reader.exact


class _Reader:
    def __init__(self, pattern: str, dialect: Dialect) -> None:
        self._text = pattern
        self._dialect = dialect
        self._at = 0
        self.exact = True

    def read(self) -> Group:
        stack = [_Open()]
        if self._dialect.flags and self._text.startswith("(?i)"):
            self._at = 4
            stack = [_Open(head="(?i:")]
        while self._at < len(self._text):
            char = self._text[self._at]
            top = stack[-1]
            if char == "(":
                self._at += 1
                opened = self._group_head()
                if len(stack) > _MOST_GROUPS:
                    raise Unreadable(f"more than {_MOST_GROUPS} groups stand one inside another")
                stack.append(opened)
            elif char == ")":
                self._at += 1
                if len(stack) == 1:
                    raise BadPattern("a parenthesis closes that was not opened")
                closed = stack.pop()
                if closed.keep:
                    stack[-1].sequence.append(self._quantified(closed.closed()))
                else:
                    self.exact = False
                    self._quantified(Atom(""))
            elif char == "|":
                self._at += 1
                top.options.append(tuple(top.sequence))
                top.sequence = []
            elif _COUNT_FROM_ZERO.match(self._text, self._at):
                raise Unreadable(
                    "a count that begins with a comma is text to some and a quantifier to others"
                )
            elif char in "*+?" or (char == "{" and _QUANTIFIER.match(self._text, self._at)):
                raise BadPattern(f"nothing stands before {char!r}")
            else:
                self._item(top.sequence)
        if len(stack) > 1:
            raise BadPattern("a parenthesis is not closed")
        return stack[0].closed()

    def _item(self, sequence: list[Node]) -> None:
        char = self._text[self._at]
        if char == "^":
            self._at += 1
            sequence.append(Start())
        elif char == "$":
            self._at += 1
            sequence.append(End())
        elif char == "[":
            sequence.append(self._quantified(self._class()))
        elif char == "\\":
            self._escape(sequence)
        else:
            self._at += 1
            atom = Atom(".", plain=False) if char == "." else literal(char)
            sequence.append(self._quantified(atom))

    def _group_head(self) -> _Open:
        """Reads what follows an opening parenthesis."""
        rest = self._text[self._at : self._at + 3]
        if rest.startswith(("?=", "?!", "?<=", "?<!")):
            self._at += 3 if rest.startswith("?<") else 2
            return _Open(keep=False)
        if rest.startswith("?>"):
            self._at += 2
            self.exact = False
            return _Open()
        if found := _FLAGS.match(self._text, self._at):
            if found[1] != "i" or not self._dialect.flags or found[2] == ")":
                raise Unreadable(f"the flags {found[1]!r} are not known to all")
            self._at = found.end()
            return _Open(head="(?i:")
        found = _GROUP_HEAD.match(self._text, self._at)
        if found is None:
            return _Open()
        if found[0] == "?":
            raise Unreadable("it has a group of an unknown kind")
        self._at = found.end()
        return _Open()

    def _class(self) -> Atom:
        begin = self._at
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        if self._text.startswith("]", self._at):
            raise Unreadable("it has an empty class")
        parts: list[str] = []
        plain = not negated
        while True:
            if self._at >= len(self._text):
                raise BadPattern(f"the class at {begin} is not closed")
            char = self._text[self._at]
            if char == "]":
                self._at += 1
                break
            if char == "[" or self._text.startswith(("&&", "--", "~~"), self._at):
                raise Unreadable("it has a class within a class")
            low, text, fits = self._class_item(negated=negated)
            plain = plain and fits
            follows = self._text[self._at : self._at + 2]
            if low is not None and follows.startswith("-") and follows not in ("-", "-]"):
                self._at += 1
                if self._text.startswith("[", self._at):
                    raise Unreadable("it has a class within a class")
                high, _, _ = self._class_item(negated=negated)
                if high is None:
                    raise Unreadable("it has a range that ends in a class")
                if high < low:
                    raise BadPattern(f"the range {low}-{high} is out of order")
                text = f"{escaped(low)}-{escaped(high)}"
                plain = plain and not any(low <= c <= high for c in '"\\\n')
            parts.append(text)
        if not parts:
            raise Unreadable("it has an empty class")
        return Atom(f"[{'^' if negated else ''}{''.join(parts)}]", plain)

    def _class_item(self, *, negated: bool) -> tuple[str | None, str, bool]:
        """One member of a class: its character if it is one, its text, and whether JSON writes it as it is."""
        char = self._text[self._at]
        self._at += 1
        if char != "\\":
            return char, escaped(char), is_plain(char)
        if self._at >= len(self._text):
            raise BadPattern("it ends in a backslash")
        code = self._text[self._at]
        if code in "dDwWsS":
            self._at += 1
            wide, narrow = self._dialect.classes[code]
            return None, narrow if negated else wide, code in "dw"
        if (found := _PROPERTY.match(self._text, self._at)) and self._dialect.properties:
            self._at = found.end()
            return None, "\\" + found[0], False
        one = "\b" if code == "b" else self._one_character()
        if one is None:
            raise Unreadable(f"the escape \\{code} is not known to all")
        self._at += code == "b"
        return one, escaped(one), is_plain(one)

    def _escape(self, sequence: list[Node]) -> None:
        self._at += 1
        if self._at >= len(self._text):
            raise BadPattern("it ends in a backslash")
        code = self._text[self._at]
        if code in "bB":
            self._at += 1
            self.exact = False
        elif code in "AzZ":
            self._at += 1
            sequence.append(Start() if code == "A" else End())
        elif code in "dDwWsS":
            self._at += 1
            sequence.append(self._quantified(Atom(f"[{self._dialect.classes[code][0]}]", plain=code in "dw")))
        elif found := _PROPERTY.match(self._text, self._at):
            self._at = found.end()
            known = self._dialect.properties
            self.exact = self.exact and known
            sequence.append(self._quantified(Atom("\\" + found[0] if known else ANY, plain=False)))
        elif code in "123456789k":
            while self._at < len(self._text) and self._text[self._at].isdigit():
                self._at += 1
            if code == "k":
                raise Unreadable("it refers back to a named group")
            self.exact = False
            self._quantified(Atom(""))
            sequence.append(Repeat(Atom(ANY, plain=False), 0, None))
        else:
            one = self._one_character()
            if one is None:
                raise Unreadable(f"the escape \\{code} is not known to all")
            sequence.append(self._quantified(literal(one)))

    def _one_character(self) -> str | None:
        """The character that the escape at this place stands for, if all libraries agree."""
        code = self._text[self._at]
        if found := _HEX.match(self._text, self._at):
            value = int(found[1] or found[2] or found[3], 16)
            if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
                return None
            self._at = found.end()
            return chr(value)
        if code.isalnum() and code not in _CONTROLS:
            return None
        self._at += 1
        return _CONTROLS.get(code, code)

    def _quantified(self, node: Atom | Group) -> Atom | Group | Repeat:
        """The node with the quantifier that follows, if one does. Lazy or not, it matches the same strings."""
        char = self._text[self._at : self._at + 1]
        found = _QUANTIFIER.match(self._text, self._at)
        if found:
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
            if most is not None and most < least:
                raise BadPattern(f"the quantifier {found[0]} is out of order")
            self._at = found.end()
        elif char and char in "*+?":
            least, most = (1 if char == "+" else 0), (1 if char == "?" else None)
            self._at += 1
        else:
            return node
        if self._text.startswith(("?", "+"), self._at):
            self.exact = self.exact and self._text[self._at] == "?"
            self._at += 1
        if self._text.startswith(("*", "+", "?"), self._at) or _QUANTIFIER.match(self._text, self._at):
            raise Unreadable("it has a quantifier on a quantifier")
        return Repeat(node, least, most)


def literal(char: str) -> Atom:
    """A character that stands for itself."""
    return Atom(escaped(char), is_plain(char))


def escaped(char: str) -> str:
    """A character as all dialects write it, inside brackets or outside."""
    if char in r".^$*+?()[]{}|\-":
        return "\\" + char
    return f"\\x{ord(char):02x}" if char in "&~" or (char < "\x80" and not char.isprintable()) else char


def is_plain(char: str) -> bool:
    """JSON writes the character as it is."""
    return char not in '"\\' and char >= " "
