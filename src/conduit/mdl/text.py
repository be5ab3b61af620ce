"""MDL text: how a form is written for a model, and the older seed form of it.

The grammar is in ``docs/mdl.md``. One writer serves both: the seed form writes bare types, MDL/1 adds
constraints, defaults and docs, and names records that come up more than once.
"""

from __future__ import annotations

import json
from collections import Counter

from conduit.mdl import constraints
from conduit.mdl.form import (
    Choice,
    Document,
    Form,
    Limits,
    ListOf,
    MapOf,
    Member,
    Null,
    Record,
    Ref,
    Scalar,
    TupleOf,
    UnionOf,
    walk,
)

_LONG = 24  # characters from which a repeated record is worth a name


def seed_lines(document: Document) -> list[str]:
    """One line a field, with bare types; a root that is no record is one line ``-> type``."""
    return _Writer(document, rich=False).lines()


def document_text(document: Document) -> str:
    """MDL/1: definitions, then fields or ``-> type``."""
    return "\n".join(_Writer(document, rich=True).lines())


class _Writer:
    def __init__(self, document: Document, *, rich: bool) -> None:
        self._rich = rich
        self._root = document.root
        self._definitions = dict(document.definitions)
        if rich:
            self._definitions |= self._repeated(document)

    def _repeated(self, document: Document) -> dict[str, Record]:
        forms = [document.root, *(record for _, record in document.definitions)]
        counts = Counter(part for form in forms for part in walk(form) if isinstance(part, Record))
        return {
            record.name: record
            for record, count in counts.items()
            if count > 1 and record is not document.root and len(self._record(record)) >= _LONG
        }

    def lines(self) -> list[str]:
        definitions = [f"{name} = {self._record(record)}" for name, record in self._definitions.items()]
        if isinstance(self._root, Record):
            return definitions + [self._line(member) for member in self._root.members]
        return [*definitions, f"-> {self.type(self._root)}"]

    def _line(self, member: Member) -> str:
        doc = f"  # {' '.join(member.doc.split())}" if self._rich and member.doc else ""
        return self._member(member) + doc

    def _member(self, member: Member) -> str:
        text = f"{member.name}: {self.type(member.form)}"
        if self._rich and member.has_default:
            text += f" = {_json(member.default)}"
        return text

    def _record(self, record: Record) -> str:
        return f"Dict{{{', '.join(self._inner(member) for member in record.members)}}}"

    def _inner(self, member: Member) -> str:
        # Inside braces a doc ends at its quote, not at the line's end.
        doc = f" # {_json(' '.join(member.doc.split()))}" if self._rich and member.doc else ""
        return self._member(member) + doc

    def type(self, form: Form) -> str:
        match form:
            case Scalar(kind=kind, limits=limits):
                return kind + self._constraints(limits)
            case Null():
                return "None"
            case Choice(values=values):
                return f"Literal[{', '.join(_json(value) for value in values)}]"
            case ListOf(item=item, limits=limits):
                return f"List[{self.type(item)}]{self._constraints(limits)}"
            case TupleOf(items=items, variadic=variadic, limits=limits):
                inner = [self.type(item) for item in items] + (["..."] if variadic else [])
                return f"Tuple[{', '.join(inner)}]{self._constraints(limits)}"
            case MapOf(key=key, value=value, limits=limits):
                return f"Dict[{self.type(key)}, {self.type(value)}]{self._constraints(limits)}"
            case UnionOf(options=options):
                return self._union(options)
            case Ref(name=name):
                return name
            case Record(name=name):
                return name if self._definitions.get(name) == form else self._record(form)

    def _union(self, options: tuple[Form, ...]) -> str:
        parts = [self.type(option) for option in options if not isinstance(option, Null)]
        text = parts[0] if len(parts) == 1 else f"Union[{', '.join(parts)}]"
        return text if len(parts) == len(options) else f"Optional[{text}]"

    def _constraints(self, limits: Limits) -> str:
        return constraints.write(limits) if self._rich else ""


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
