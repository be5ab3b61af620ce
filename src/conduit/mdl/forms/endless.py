"""Which definitions have no value: those that always hold another of themselves, or stand only for themselves.

A list or an optional field ends the first kind; the second, such as ``A = Optional[A]``, says nothing at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from conduit.mdl.form import Form, ListOf, MapOf, Record, Ref, TupleOf, UnionOf, children


def endless(definitions: Mapping[str, Form]) -> list[str]:
    """The names of definitions without a finite value, in their order.

    Linear: each form counts how many of its parts still have to be found finite, and tells those that wait for it.
    """
    wanted: list[int] = []
    waiting: list[list[int]] = []
    by_name: dict[str, int] = {}

    def place(needed: int) -> int:
        wanted.append(needed)
        waiting.append([])
        return len(wanted) - 1

    def add(form: Form) -> int:
        if isinstance(form, Ref):
            return by_name[form.name]
        parts = tuple(_needed(form))
        own = place(min(1, len(parts)) if isinstance(form, UnionOf) else len(parts))
        for part in parts:
            waiting[add(part)].append(own)
        return own

    for name in definitions:
        by_name[name] = place(1)
    for name, form in definitions.items():
        waiting[add(form)].append(by_name[name])
    finite = deque(place for place, needed in enumerate(wanted) if needed == 0)
    while finite:
        for place_ in waiting[finite.popleft()]:
            wanted[place_] -= 1
            if wanted[place_] == 0:
                finite.append(place_)
    return [name for name, place_ in by_name.items() if wanted[place_] > 0]


def empty(definitions: Mapping[str, Form]) -> list[str]:
    """The names of definitions that lead back to themselves through names and unions alone, in their order."""
    open_: dict[str, None] = {}
    done: set[str] = set()
    found: set[str] = set()
    for first in definitions:
        stack = [("", iter((first,)))]
        while stack:
            owner, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                open_.pop(owner, None)
                done.add(owner)
            elif name in open_:
                found.add(name)
            elif name not in done:
                open_[name] = None
                stack.append((name, _bare(definitions[name])))
    return [name for name in definitions if name in found]


def _bare(form: Form) -> Iterator[str]:
    """The names that a form has in place of itself or of an option."""
    for part in form.options if isinstance(form, UnionOf) else (form,):
        if isinstance(part, Ref):
            yield part.name


def _needed(form: Form) -> tuple[Form, ...]:
    """The parts without which there is no value of the form; of a union one is enough."""
    match form:
        case ListOf(limits=limits) | MapOf(limits=limits) | TupleOf(variadic=True, limits=limits):
            return tuple(children(form)) if limits.min_length else ()
        case Record() | TupleOf() | UnionOf():
            return tuple(children(form))
    return ()
