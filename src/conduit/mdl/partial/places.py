"""What may stand at a place of an answer, as a reader needs to know it that sees only the beginning of a value.

A place merges all options of a union into one view: a key is there if one of the records has it, and a text may be
shown while it grows if every option that is a text may grow. Places are made when an answer reaches them, so that
recursive forms need no end. A place judges kinds of JSON values, not limits: those are for validation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from conduit.mdl.form import (
    TEXT_KINDS,
    Anything,
    Choice,
    Document,
    Form,
    ListOf,
    MapOf,
    Null,
    Record,
    Ref,
    Scalar,
    TupleOf,
    UnionOf,
)
from conduit.mdl.partial.snapshot import MISSING


class Places:
    """All places of a document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._definitions = dict(document.definitions)
        self._known: dict[tuple[int, ...], Place] = {}

    @property
    def root(self) -> Place:
        return self.of((self._document.root,))

    def of(self, forms: Iterable[Form]) -> Place:
        """The place that takes any of these forms."""
        options = tuple(self._options(forms))
        key = tuple(id(option) for option in options)
        if key not in self._known:
            self._known[key] = Place(self, options)
        return self._known[key]

    def _options(self, forms: Iterable[Form]) -> Iterable[Form]:
        """The forms behind references and unions, each once."""
        waiting = list(forms)[::-1]
        seen: set[int] = set()
        while waiting:
            form = waiting.pop()
            if id(form) in seen:
                continue
            seen.add(id(form))
            match form:
                case Ref(name=name):
                    waiting.append(self._definitions[name])
                case UnionOf(options=options):
                    waiting.extend(reversed(options))
                case _:
                    yield form


class Place:
    """One place: the options for what stands there, none of them a reference or a union."""

    def __init__(self, places: Places, options: tuple[Form, ...]) -> None:
        self._places = places
        self._anything = any(isinstance(option, Anything) for option in options)
        self._choices = [option for option in options if isinstance(option, Choice)]
        self._scalars = [option for option in options if isinstance(option, Scalar)]
        self._maps = [option for option in options if isinstance(option, MapOf)]
        self._records = [option for option in options if isinstance(option, Record)]
        self._lists = [option for option in options if isinstance(option, ListOf | TupleOf)]
        self._kinds = {scalar.kind for scalar in self._scalars}
        self._null = any(isinstance(option, Null) for option in options)
        self._items: dict[int, Place | None] = {}
        self._members: dict[str, tuple[str, Place]] = {}

        formats = any(
            scalar.kind == "decimal" or (scalar.kind in TEXT_KINDS and not _may_grow(scalar))
            for scalar in self._scalars
        )
        names = any(isinstance(value, str) for choice in self._choices for value in choice.values)
        free = self._anything or any(_may_grow(scalar) for scalar in self._scalars)
        self.scalar = bool(self._anything or self._scalars or self._choices or self._null)
        self.text_grows = free and not formats and not names
        self._free_text = free or formats
        self.opens = frozenset(
            sign
            for sign, options in (("{", [*self._maps, *self._records]), ("[", self._lists))
            if options or self._anything
        )

    def empty(self, bracket: str) -> bool:
        """Whether a container with nothing in it can be the value."""
        if self._anything:
            return True
        if bracket == "{":
            free = (all(not member.required for member in record.members) for record in self._records)
            return bool(self._maps) or any(free)
        return any(isinstance(option, ListOf) or option.variadic for option in self._lists)

    def text(self, text: str) -> Any:
        """The value that a whole text stands for, or ``MISSING`` where it does not fit."""
        for choice in self._choices:
            if text in choice.values:
                return text
        if self._free_text:
            return text
        for choice in self._choices:
            for name, value in choice.aliases:
                if name == text:
                    return value
        return MISSING

    def takes(self, value: Any) -> bool:
        """Whether a number, a boolean or null fits."""
        if self._anything:
            return True
        if any(value == other and type(value) is type(other) for c in self._choices for other in c.values):
            return True
        if value is None:
            return self._null
        if isinstance(value, bool):
            return "bool" in self._kinds
        if isinstance(value, int) and "int" in self._kinds:
            return True
        return not self._kinds.isdisjoint(("float", "decimal"))

    def item(self, index: int) -> Place | None:
        """The place of an item; ``None`` where no item may be."""
        index = min(index, self._places_apart)
        if index not in self._items:
            forms = [form for option in self._lists if (form := _item(option, index)) is not None]
            self._items[index] = self._of(forms)
        return self._items[index]

    def member(self, key: str) -> tuple[str, Place] | None:
        """The name and the place of a member; ``None`` where the key is not known."""
        if key in self._names:
            if key not in self._members:
                name, forms = self._names[key]
                place = self._of([*forms, *self._values(key)])
                assert place is not None
                self._members[key] = (name, place)
            return self._members[key]
        place = self._of(self._values(key))
        return None if place is None else (key, place)

    def _of(self, forms: list[Form]) -> Place | None:
        if self._anything:
            forms.append(_ANYTHING)
        return self._places.of(forms) if forms else None

    def _values(self, key: str) -> list[Form]:
        return [
            option.value
            for option in self._maps
            if not isinstance(option.key, Choice) or key in option.key.values
        ]

    @cached_property
    def _places_apart(self) -> int:
        """From this index on, all items are alike."""
        return max((len(option.items) for option in self._lists if isinstance(option, TupleOf)), default=0)

    @cached_property
    def _names(self) -> dict[str, tuple[str, list[Form]]]:
        """Keys of records, with the name that each stands for; a name goes before another member's alias."""
        found: dict[str, tuple[str, list[Form]]] = {}
        for record in self._records:
            for member in record.members:
                found.setdefault(member.name, (member.name, []))[1].append(member.form)
        named = frozenset(found)
        for record in self._records:
            for member in record.members:
                for alias in member.aliases:
                    if alias not in named:
                        found.setdefault(alias, (member.name, []))[1].append(member.form)
        return found


_ANYTHING: Final = Anything()


def _may_grow(scalar: Scalar) -> bool:
    return scalar.kind == "str" and scalar.limits.pattern is None


def _item(option: ListOf | TupleOf, index: int) -> Form | None:
    if isinstance(option, ListOf):
        return option.item
    if option.variadic:
        return option.items[0]
    return option.items[index] if index < len(option.items) else None
