"""The names that keys of an answer may have: what tells a key from a text, and one field from another."""

from __future__ import annotations

import re

from conduit.mdl.form import Anything, Document, MapOf, Record, walk

_NOT_WORD = re.compile(r"[\W_]+")


def squeezed(text: str) -> str:
    """A text without case, spaces and punctuation, for comparing spellings of one name."""
    return _NOT_WORD.sub("", text).casefold()


class Names:
    """The names of a document's fields; ``free`` when objects with keys of any name are among its forms."""

    def __init__(self, document: Document) -> None:
        self._known: set[str] = set()
        self.free = False
        for root in (document.root, *(form for _, form in document.definitions)):
            for form in walk(root):
                if isinstance(form, Record):
                    self._known |= {
                        squeezed(name) for member in form.members for name in (member.name, *member.aliases)
                    }
                self.free = self.free or isinstance(form, MapOf | Anything)

    def known(self, word: str) -> bool:
        """Whether a field has this name, in any spelling."""
        return squeezed(word) in self._known

    def possible(self, word: str) -> bool:
        """Whether a key could have this name."""
        return self.free or squeezed(word) in self._known
