"""Strings in quotes of any kind, also where their end has to be found out.

A quote ends its string if what follows could follow a string there: a comma and then a key, a closing bracket.
Other quotes are of the text, and ought to have been escaped.
"""

from __future__ import annotations

import textwrap

from conduit.mdl.answer.scanner import NotNotation, Scanner
from conduit.mdl.answer.signs import (
    AGAIN,
    CLOSING_FIRST,
    CODE_POINT,
    COMMAS,
    DOUBLED,
    ESCAPES,
    FENCE_TAG,
    HEX,
    INCHES,
    JOIN,
    QUOTED_ITEM,
    QUOTED_NAME,
    QUOTES,
    STRING_RUN,
    VALUE_START,
)


class StringScanner(Scanner):
    """Reads strings, keys and values alike."""

    def _text_value(self, quote: str, *, raw: bool = False) -> str:
        """A string, with the ones that a plus sign joins to it."""
        joined = [self._string(quote, is_key=False, raw=raw)]
        while (plus := JOIN.match(self._text, self._at)) is not None:
            self._note("python-literal")
            self._at = plus.end()
            joined.append(self._string(self._text[self._at], is_key=False))
        return "".join(joined)

    def _string(self, quote: str, *, is_key: bool, raw: bool = False) -> str:
        text, opening = self._text, self._at
        doubled = quote == '"' and DOUBLED.match(text, opening)
        if doubled:
            self._note("quotes")
            self._at = doubled.end()
            return doubled[1]
        if text.startswith(quote * 3, opening) and quote in "\"'`":
            return self._triple(quote)
        if quote != '"':
            self._note("quotes")
        run = STRING_RUN[quote]
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
                or (is_key and VALUE_START.match(text, at + 1) and self._names.known("".join(parts)))
            ):
                self._at = at + 1
                if is_key and (again := AGAIN.match(text, self._at)) is not None:
                    self._note("quotes")
                    self._at = again.end()
                if first_end is not None:
                    parts = [self._with_inner_quotes("".join(parts), sign)]
                return "".join(parts)
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
        if CLOSING_FIRST.match(text):
            raise NotNotation(self._at)
        if quote != '"' or (text.count(quote) - len(INCHES.findall(text))) % 2 == 0:
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
        if quote == "`" and (tagged := FENCE_TAG.match(inside)) is not None:
            return textwrap.dedent(inside[tagged.end() :]).rstrip()  # code in a fence of its own
        return inside

    def _escape(self, at: int, parts: list[str]) -> int:
        """Adds what the backslash at ``at`` means; where the text after it starts."""
        sign = self._text[at + 1 : at + 2]
        if sign in ('"', "\\", "/"):
            parts.append(sign)
        elif sign in ESCAPES and sign:
            parts.append(ESCAPES[sign])
        elif sign == "u" and HEX.match(self._text, at + 2):
            return self._unicode(at, parts)
        elif sign == "u" and (point := CODE_POINT.match(self._text, at + 2)) and int(point[1], 16) < 0x110000:
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
            low = HEX.match(self._text, after + 2)
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
            return sign == "" or sign in ":=},{[" or sign in QUOTES
        if sign == "" or not self._stack:
            return True
        frame = self._stack[-1]
        in_object = type(frame.items) is dict
        if sign in "}])":
            return sign == frame.closer or any(other.closer == sign for other in self._stack)
        if sign in ",;":
            following = COMMAS.match(text, at).end()  # type: ignore[union-attr] # one is there
            next_sign = self._sign(following)
            if next_sign in ("", "}", "]", ")") or text.startswith(("//", "/*", "#"), following):
                return True
            return self._key_at(following) if in_object else self._item_at(following)
        if sign == "+" and JOIN.match(text, after):
            return True
        if text.startswith(("//", "/*"), at) or (sign == "#" and at > after):
            return True
        if at == after:
            if not in_object:
                return QUOTED_ITEM.match(text, at) is not None
            named = QUOTED_NAME.match(text, at)
            return named is not None and self._names.known(named[1])
        if in_object:
            return self._key_at(at)
        return self._item_at(at) and ("\n" in text[after:at] or QUOTED_ITEM.match(text, at) is not None)
