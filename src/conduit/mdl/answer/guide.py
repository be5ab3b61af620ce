"""A document made ready for holding answers against it: what does not change from answer to answer."""

from __future__ import annotations

from conduit.mdl.answer.names import Names, squeezed
from conduit.mdl.form import Document, Form, Record, Ref


class Guide:
    """The forms of one document, and what their fields may be called.

    Attributes:
        document: The document.
        root: Its root, followed to where it is defined.
        names: What keys may be called.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.names = Names(document)
        self._definitions = dict(document.definitions)
        self._spellings: dict[int, dict[str, str]] = {}  # by the record's identity: the document keeps it
        self.root = self.resolved(document.root)

    def resolved(self, form: Form) -> Form:
        """The form that a reference leads to."""
        while isinstance(form, Ref):
            form = self._definitions[form.name]
        return form

    def spellings(self, record: Record) -> dict[str, str]:
        """Squeezed spelling → the only field of the record that is called so, by its name or another."""
        found = self._spellings.get(id(record))
        if found is None:
            names: dict[str, set[str]] = {}
            for member in record.members:
                for name in (member.name, *member.aliases):
                    names.setdefault(squeezed(name), set()).add(member.name)
            found = {spelling: same.pop() for spelling, same in names.items() if len(same) == 1}
            self._spellings[id(record)] = found
        return found
