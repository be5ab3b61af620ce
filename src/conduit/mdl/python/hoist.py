"""Which records, enums and aliases get a name in the document, and which stand in place.

A definition is made of what is recursive, of what is used twice or more and long, and of what would make its place
too deep. Each step walks the graph of names with a stack of its own, so neither a long chain of records nor records
that use each other many times cost more than their own size.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from conduit.mdl.form import (
    Document,
    Form,
    ListOf,
    MapOf,
    Record,
    Ref,
    TupleOf,
    UnionOf,
    children,
    walk,
)
from conduit.mdl.forms.identities import Identities
from conduit.mdl.forms.unions import union_of
from conduit.mdl.python.refusals import refusal
from conduit.mdl.text.words import RESERVED
from conduit.mdl.text.writer import type_text

LONG = 24  # characters from which a repeated part is worth a name
TALL = 16  # levels from which a part gets a name, however often it is used
_MOST_LEVELS = 100
_MOST_PARTS = 200_000


@dataclass(frozen=True)
class Node:
    """What can get a name; ``form`` refers to other nodes by their keys. ``name`` is the wanted one."""

    name: str
    form: Form


def hoist(root: Form, nodes: Mapping[str, Node], *, unfold: bool = False) -> Document:
    """The document of a graph of nodes.

    Args:
        root: Refers to nodes by key.
        nodes: By key.
        unfold: Name only what is recursive, as the seed form does.

    Raises:
        UnsupportedType: Unfolded, the type is too large.
    """
    order, recursive = _visit(root, nodes)
    uses = Counter(key for form in (root, *(nodes[key].form for key in order)) for key in _refs(form))
    names = {key: node.name for key, node in nodes.items()}
    placed: dict[str, Form] = {key: Ref(key) for key in recursive}
    sizes: dict[str, tuple[int, int]] = {}
    bodies: dict[str, Form] = {}
    same = Identities()
    for key in order:
        height, parts = _size(nodes[key].form, sizes)
        if unfold and (height > _MOST_LEVELS or parts > _MOST_PARTS):
            raise refusal(
                nodes[key].name,
                f"is too large to be unfolded ({height} levels, {parts:,} parts)",
                "use `render`, which names what comes up more than once",
            )
        form = substituted(nodes[key].form, placed, same)
        named = key in recursive or (
            not unfold
            and root != Ref(key)
            and (height > TALL or (uses[key] > 1 and len(type_text(form, names)) >= LONG))
        )
        if named:
            bodies[key], placed[key], sizes[key] = form, Ref(key), (1, 1)
        else:
            placed[key], sizes[key] = form, (height, parts)
    root = substituted(root, placed, same)
    refs: dict[str, Form] = {key: Ref(name) for key, name in _named(root, bodies, names).items()}
    definitions = ((ref, bodies[key]) for key, ref in refs.items())
    return Document(
        substituted(root, refs, same),
        tuple((ref.name, substituted(form, refs, same)) for ref, form in definitions if isinstance(ref, Ref)),
    )


def _visit(root: Form, nodes: Mapping[str, Node]) -> tuple[list[str], set[str]]:
    """The keys that the root reaches, each after those that it uses, and those that are met inside themselves."""
    order: list[str] = []
    recursive: set[str] = set()
    seen: set[str] = set()
    open_: dict[str, None] = {}
    stack = [("", _refs(root))]
    while stack:
        owner, refs = stack[-1]
        key = next(refs, None)
        if key is None:
            stack.pop()
            open_.pop(owner, None)
            if stack:
                order.append(owner)
        elif key in open_:
            recursive.add(key)
        elif key not in seen:
            seen.add(key)
            open_[key] = None
            stack.append((key, _refs(nodes[key].form)))
    return order, recursive


def _refs(form: Form) -> Iterator[str]:
    return (part.name for part in walk(form) if isinstance(part, Ref))


def _size(form: Form, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Height and number of parts, with the placed forms in place of the references to them."""
    if isinstance(form, Ref):
        return sizes.get(form.name, (1, 1))
    inner = [_size(child, sizes) for child in children(form)]
    return 1 + max((height for height, _ in inner), default=0), 1 + sum(parts for _, parts in inner)


def substituted(form: Form, placed: Mapping[str, Form], same: Identities) -> Form:
    """The form with what ``placed`` says in place of each reference."""

    def inside(part: Form) -> Form:
        return substituted(part, placed, same)

    match form:
        case Ref(name=name):
            return placed[name]
        case ListOf(item=item):
            return dataclasses.replace(form, item=inside(item))
        case TupleOf(items=items):
            return dataclasses.replace(form, items=tuple(map(inside, items)))
        case MapOf(key=key, value=value):
            return dataclasses.replace(form, key=inside(key), value=inside(value))
        case UnionOf(options=options):
            return union_of(map(inside, options), same)
        case Record(members=members):
            changed = (dataclasses.replace(member, form=inside(member.form)) for member in members)
            return dataclasses.replace(form, members=tuple(changed))
    return form


def _named(root: Form, bodies: Mapping[str, Form], wanted: Mapping[str, str]) -> dict[str, str]:
    """A free name for each definition, in the order of their first use."""
    names: dict[str, str] = {}
    taken = set(RESERVED)
    numbers: Counter[str] = Counter()
    stack = [_refs(root)]
    while stack:
        key = next(stack[-1], None)
        if key is None:
            stack.pop()
        elif key not in names:
            base = name = wanted[key]
            while name in taken:
                numbers[base] += 1
                name = f"{base}{numbers[base] + 1}"
            taken.add(name)
            names[key] = name
            stack.append(_refs(bodies[key]))
    return names
