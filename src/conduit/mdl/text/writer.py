"""MDL text: how a form is written for a model. The grammar is in ``docs/mdl.md``; ``read_text`` reads it back.

A document is written as it stands: which records have a name was decided when it was made (``hoist``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from conduit.mdl.form import (
    Anything,
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
)
from conduit.mdl.text import constraints
from conduit.mdl.text.words import folded, json_text

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


def document_text(document: Document) -> str:
    """MDL/1: definitions, then fields or ``-> type``."""
    return "\n".join(_Writer(rich=True).lines(document))


def seed_lines(document: Document) -> list[str]:
    """One line a field, with bare types; a root that is no record is one line ``-> type``."""
    return _Writer(rich=False).lines(document)


def type_text(form: Form, names: Mapping[str, str] = _NO_NAMES) -> str:
    """The text of one type. References are written by name, or as ``names`` says."""
    return _Writer(rich=True, names=names).type(form)


class _Writer:
    """Writes with constraints, defaults and docs, or bare types when not ``rich``."""

    def __init__(self, *, rich: bool, names: Mapping[str, str] = _NO_NAMES) -> None:
        self._rich = rich
        self._names = names

    def lines(self, document: Document) -> list[str]:
        definitions = [f"{name} = {self.type(form)}" for name, form in document.definitions]
        if isinstance(document.root, Record):
            return definitions + [self._line(member) for member in document.root.members]
        return [*definitions, f"-> {self.type(document.root)}"]

    def _line(self, member: Member) -> str:
        doc = f"  # {folded(member.doc)}" if self._rich and member.doc else ""
        return self._member(member) + doc

    def _inner(self, member: Member) -> str:
        # Inside braces a doc ends at its quote, not at the line's end.
        doc = f" # {json_text(folded(member.doc))}" if self._rich and member.doc else ""
        return self._member(member) + doc

    def _member(self, member: Member) -> str:
        if not self._rich:
            return f"{member.name}: {self.type(member.form)}"
        mark = "" if member.required or member.has_default else "?"
        default = f" = {json_text(member.default)}" if member.has_default else ""
        return f"{member.name}{mark}: {self.type(member.form)}{default}"

    def type(self, form: Form) -> str:
        match form:
            case Scalar(kind=kind, limits=limits):
                return kind + self._constraints(limits)
            case Null():
                return "None"
            case Anything():
                return "Any"
            case Choice(values=values):
                return f"Literal[{', '.join(map(json_text, values))}]"
            case ListOf(item=item, limits=limits):
                return f"List[{self.type(item)}]{self._constraints(limits)}"
            case TupleOf(items=items, variadic=variadic, limits=limits):
                inner = [*map(self.type, items), *(["..."] if variadic else [])]
                return f"Tuple[{', '.join(inner)}]{self._constraints(limits)}"
            case MapOf(key=key, value=value, limits=limits):
                return f"Dict[{self.type(key)}, {self.type(value)}]{self._constraints(limits)}"
            case UnionOf(options=options):
                return self._union(options)
            case Ref(name=name):
                return self._names.get(name, name)
            case Record(members=members):
                return f"Dict{{{', '.join(map(self._inner, members))}}}"

    def _union(self, options: tuple[Form, ...]) -> str:
        parts = [self.type(option) for option in options if not isinstance(option, Null)]
        text = parts[0] if len(parts) == 1 else f"Union[{', '.join(parts)}]"
        return text if len(parts) == len(options) else f"Optional[{text}]"

    def _constraints(self, limits: Limits) -> str:
        return constraints.write(limits) if self._rich else ""
