"""MDL text read back into the document that it was written from.

A recursive descent over each line, of bounded depth. The time is linear in the text, and definitions stay
references: a text that would unfold without measure costs no more than its own length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from conduit.mdl.form import (
    NO_LIMITS,
    Anything,
    Choice,
    Document,
    Form,
    ListOf,
    MapOf,
    Member,
    Null,
    Record,
    Ref,
    Scalar,
    ScalarKind,
    TupleOf,
)
from conduit.mdl.forms.endless import empty, endless
from conduit.mdl.forms.identities import Identities
from conduit.mdl.forms.keys import is_key
from conduit.mdl.forms.unions import union_of
from conduit.mdl.text import constraints
from conduit.mdl.text.cursor import Cursor
from conduit.mdl.text.words import RESERVED, SCALARS, folded

T = TypeVar("T")

_MOST_LEVELS = 100
_SIGNS = {
    **{sign: name for name, sign in constraints.SIGNS.items()},
    "len>=": "min_length",
    "len<=": "max_length",
}
_LONGEST_FIRST = sorted(_SIGNS, key=len, reverse=True)


def from_text(mdl: str) -> Document:
    """Reads MDL/1 text: the form that it describes, as ``render`` would write it.

    Raises:
        TextInvalid: It is no MDL, refers to a name that it does not define, or is nested too deeply.
    """
    reader = _Reader()
    for number, content in enumerate(mdl.split("\n"), 1):
        reader.read(Cursor(content, number))
    return reader.document()


class _Reader:
    def __init__(self) -> None:
        self._definitions: dict[str, Form] = {}
        self._places: dict[str, Cursor] = {}
        self._mentioned: dict[str, tuple[Cursor, int]] = {}
        self._members: dict[str, Member] = {}
        self._root: Form | None = None
        self._same = Identities()
        self._level = 0

    def document(self) -> Document:
        for name, (cursor, position) in self._mentioned.items():
            if name not in self._definitions:
                cursor.fail(f"the name {name} is not defined", position)
        for name in empty(self._definitions):
            self._places[name].fail(f"{name} stands only for itself", 0)
        for name in endless(self._definitions):
            self._places[name].fail(f"{name} holds another one of itself without end", 0)
        root = Record("Record", tuple(self._members.values())) if self._root is None else self._root
        return Document(root, tuple(self._definitions.items()))

    def read(self, cursor: Cursor) -> None:
        """Reads one line: a definition, a field or the root."""
        if cursor.at_end():
            return
        if self._root is not None:
            cursor.fail("nothing may follow the line with `->`")
        if cursor.take("->"):
            if self._members:
                cursor.fail("a text has either fields or a line with `->`", 0)
            self._root = self._type(cursor)
            cursor.end()
            return
        start = cursor.position
        name = cursor.word("a field, a definition or `->`")
        if cursor.take("="):
            if self._members:
                cursor.fail("definitions stand before the fields", start)
            if name in self._definitions or name in RESERVED:
                cursor.fail(f"the name {name} is taken", start)
            self._definitions[name] = self._type(cursor)
            self._places[name] = cursor
            cursor.end()
        else:
            self._add(self._members, self._member(cursor, name, _rest_of_line), cursor, start)

    def _add(self, members: dict[str, Member], member: Member, cursor: Cursor, start: int) -> None:
        if member.name in members:
            cursor.fail(f"the field {member.name} comes twice", start)
        members[member.name] = member

    def _member(self, cursor: Cursor, name: str, doc: Callable[[Cursor], str]) -> Member:
        required = not cursor.take("?")
        cursor.need(":")
        member = Member(name, self._type(cursor), required=required)
        if required and cursor.take("="):
            member = replace(member, required=False, has_default=True, default=cursor.json())
        return replace(member, doc=folded(doc(cursor)))

    def _type(self, cursor: Cursor) -> Form:
        if self._level == _MOST_LEVELS:
            cursor.fail(f"the type is nested more than {_MOST_LEVELS} levels deep")
        self._level += 1
        cursor.skip()
        start = cursor.position
        form = self._constrained(cursor, self._bare(cursor, start))
        self._level -= 1
        return form

    def _bare(self, cursor: Cursor, start: int) -> Form:
        word = cursor.word("a type")
        if word in SCALARS:
            return Scalar(cast("ScalarKind", word))
        match word:
            case "None":
                return Null()
            case "Any":
                return Anything()
            case "Literal":
                return Choice(tuple(self._listed(cursor, _choice)))
            case "List":
                (item,) = self._parts(cursor, 1)
                return ListOf(item)
            case "Optional":
                return union_of((*self._parts(cursor, 1), Null()), self._same)
            case "Union":
                return union_of(self._listed(cursor, self._type), self._same)
            case "Tuple":
                return self._tuple(cursor)
            case "Dict":
                return self._record(cursor) if cursor.take("{") else self._map(cursor)
        self._mentioned.setdefault(word, (cursor, start))
        return Ref(word)

    def _parts(self, cursor: Cursor, count: int) -> list[Form]:
        parts = self._listed(cursor, self._type)
        if len(parts) != count:
            cursor.fail(f"expected {count} type{'s' * (count > 1)} in the brackets, found {len(parts)}")
        return parts

    def _listed(self, cursor: Cursor, read: Callable[[Cursor], T]) -> list[T]:
        cursor.need("[")
        found = [read(cursor)]
        while cursor.take(","):
            found.append(read(cursor))
        cursor.need("]")
        return found

    def _map(self, cursor: Cursor) -> MapOf:
        key, value = self._parts(cursor, 2)
        if not is_key(key):
            cursor.fail("the keys of a Dict are text or int")
        return MapOf(key, value)

    def _tuple(self, cursor: Cursor) -> TupleOf:
        cursor.need("[")
        items: list[Form] = []
        while not cursor.take("]"):
            if items:
                cursor.need(",")
                if len(items) == 1 and cursor.take("..."):
                    cursor.need("]")
                    return TupleOf((items[0],), variadic=True)
            items.append(self._type(cursor))
        return TupleOf(tuple(items))

    def _record(self, cursor: Cursor) -> Record:
        members: dict[str, Member] = {}
        while not cursor.take("}"):
            if members:
                cursor.need(",")
            cursor.skip()
            start = cursor.position
            name = cursor.word("a field")
            self._add(members, self._member(cursor, name, _quoted), cursor, start)
        return Record("Record", tuple(members.values()))

    def _constrained(self, cursor: Cursor, form: Form) -> Form:
        if not cursor.take("("):
            return form
        limits = NO_LIMITS
        while True:
            cursor.skip()
            start = cursor.position
            name, value = _constraint(cursor)
            if not constraints.fits(form, name):
                cursor.fail("the constraint does not go with its type", start)
            if getattr(limits, name) not in (None, False):
                cursor.fail("the constraint comes twice", start)
            limits = replace(limits, **{name: value})
            if cursor.take(")"):
                assert isinstance(form, Scalar | ListOf | TupleOf | MapOf)
                return replace(form, limits=limits)
            cursor.need(",")


def _constraint(cursor: Cursor) -> tuple[str, Any]:
    if (pattern := cursor.regex()) is not None:
        return "pattern", constraints.canonical_pattern(pattern)
    if cursor.take("unique"):
        return "unique", True
    sign = cursor.first_of(_LONGEST_FIRST)
    if sign is None:
        cursor.expected("a constraint")
    value = cursor.number()
    if sign.startswith("len") and (value < 0 or not isinstance(value, int)):
        cursor.fail("a length is a whole number")
    return _SIGNS[sign], value


def _choice(cursor: Cursor) -> str | float | int | bool | None:
    cursor.skip()
    start = cursor.position
    value = cursor.json()
    if isinstance(value, dict | list):
        cursor.fail("a choice is a string, a number, true, false or null", start)
    return cast("str | float | int | bool | None", value)


def _rest_of_line(cursor: Cursor) -> str:
    if cursor.take("#"):
        return cursor.rest()
    cursor.end()
    return ""


def _quoted(cursor: Cursor) -> str:
    if not cursor.take("#"):
        return ""
    cursor.skip()
    start = cursor.position
    doc = cursor.json()
    if not isinstance(doc, str):
        cursor.fail("a doc inside braces is a JSON string", start)
    return doc
