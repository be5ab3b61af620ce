"""What models write before a value: thinking, prose and the opening of a fence, piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from conduit.mdl.partial.places import Place

THINKING_TAGS: Final = ("think", "thinking", "thought", "reasoning", "reflection", "scratchpad")

_LONGEST_TAG: Final = max(len(f"</{name}>") for name in THINKING_TAGS)
_WHITE = re.compile(r"\s*")


class Preamble:
    """Looks for the place where a value of the root may begin.

    Prose is gone over only where the value has brackets to be known by; a text or a number stands first, or behind
    thinking.
    """

    def __init__(self, root: Place) -> None:
        self._root = root
        self._step: Callable[[str, int], int] = self._start
        self._pending = ""
        self._closing_tag = _WHITE  # set with the opening tag
        self._signs = re.compile(f"[<{''.join(map(re.escape, root.opens))}]") if root.opens else None
        self.over = False

    def skip(self, text: str, at: int) -> int:
        """Where a value begins, then ``over`` is set; or the end of the text."""
        while at < len(text) and not self.over:
            at = self._step(text, at)
        return at

    def resume(self) -> None:
        """What looked like a value was prose."""
        self.over = False
        self._step = self._prose

    def _start(self, text: str, at: int) -> int:
        found = _WHITE.match(text, at)
        assert found is not None
        at = found.end()
        if at == len(text):
            return at
        if text[at] == "<":
            self._step = self._tag
        elif self._root.scalar or text[at] in self._root.opens:
            self.over = True
        else:
            self._step = self._prose
        return at

    def _tag(self, text: str, at: int) -> int:
        """Reads a character of what may be the opening tag of thinking."""
        tag = self._pending + text[at].lower()
        if tag[-1] == ">" and tag[1:-1] in THINKING_TAGS:
            self._pending, self._step = "", self._thinking
            self._closing_tag = re.compile(f"</{tag[1:]}", re.IGNORECASE)
        elif any(f"<{name}".startswith(tag) for name in THINKING_TAGS):
            self._pending = tag
        else:
            self._pending, self._step = "", self._prose
            return at
        return at + 1

    def _thinking(self, text: str, at: int) -> int:
        if self._pending:
            # The tag may have begun in earlier pieces; then it ends within its own length.
            window = self._pending + text[at : at + _LONGEST_TAG]
            if (found := self._closing_tag.search(window)) is not None:
                return self._thought(at + found.end() - len(self._pending))
        if (found := self._closing_tag.search(text, at)) is not None:
            return self._thought(found.end())
        self._pending = (self._pending + text[max(at, len(text) - _LONGEST_TAG) :])[-_LONGEST_TAG:]
        return len(text)

    def _thought(self, at: int) -> int:
        self._pending, self._step = "", self._start
        return at

    def _prose(self, text: str, at: int) -> int:
        if self._signs is None or (found := self._signs.search(text, at)) is None:
            return len(text)
        at = found.start()
        if text[at] == "<":
            self._step = self._tag
        else:
            self.over = True
        return at
