"""The types of one reading that can get a name, each read once, and one after the other.

Reading a record gives references to those inside it, whose own turn comes later: neither long chains of records nor
records that use each other many times make the reading deep or slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn, get_origin

from conduit.errors import UnsupportedType
from conduit.mdl.form import Document, Form, Ref
from conduit.mdl.forms.endless import empty, endless
from conduit.mdl.python.hoist import Node, hoist
from conduit.mdl.python.refusals import refusal

_MOST_VERSIONS = 200


class Graph:
    """The nodes found so far, and those whose inside is still to be read."""

    def __init__(self) -> None:
        self._keys: dict[Any, str] = {}
        self._names: dict[str, str] = {}
        self._paths: dict[str, str] = {}
        self._waiting: dict[str, Callable[[], Form]] = {}
        self._forms: dict[str, Form] = {}
        self._versions: Counter[Any] = Counter()

    def node(self, identity: Any, source: Any, path: str, inside: Callable[[], Form]) -> Ref:
        """A reference to a type that can get a name.

        Args:
            identity: Tells it from all others.
            source: The type.
            path: Where it stands.
            inside: Reads it, when its turn comes.

        Raises:
            UnsupportedType: It is a generic type, and comes with ever new arguments or with some that have no hash.
        """
        try:
            key = self._keys.get(identity)
        except TypeError as error:
            raise no_hash(path) from error
        if key is None:
            key = self._keys[identity] = str(len(self._keys))
            self._count(source, path)
            self._names[key], self._paths[key], self._waiting[key] = label(source), path, inside
        return Ref(key)

    def _count(self, source: Any, path: str) -> None:
        generic = getattr(source, "__pydantic_generic_metadata__", None)
        origin = (generic and generic["origin"]) or get_origin(source) or source
        self._versions[origin] += 1
        if self._versions[origin] > _MOST_VERSIONS:
            raise refusal(
                path,
                f"{name_of(origin)} comes with more than {_MOST_VERSIONS} different arguments",
                "do not let a generic type use itself with ever larger arguments",
            )

    def resolved(self, form: Form) -> Form:
        """The form that a reference stands for, read now if it has not been; any other form as it is.

        A reference to what is just being read stays one.
        """
        seen: set[str] = set()
        while isinstance(form, Ref) and form.name not in seen:
            seen.add(form.name)
            if form.name in self._waiting:
                self._read(form.name)
            form = self._forms.get(form.name, form)
        return form

    def _read(self, key: str) -> None:
        self._forms[key] = self._waiting.pop(key)()

    def complete(self) -> None:
        """Reads all that waits.

        Raises:
            UnsupportedType: A type inside cannot be expressed, or has no finite value.
        """
        while self._waiting:
            self._read(next(iter(self._waiting)))
        for key in empty(self._forms):
            self._refuse(key, "stands only for itself", "say what else it can be")
        for key in endless(self._forms):
            self._refuse(
                key,
                "holds another one of itself without end",
                "make the field that leads back optional, or a list",
            )

    def _refuse(self, key: str, problem: str, remedy: str) -> NoReturn:
        raise refusal(self._paths[key], f"{self._names[key]} {problem}", remedy)

    def document(self, root: Form, *, unfold: bool) -> Document:
        """The document of a form that refers to these nodes; see ``hoist``."""
        nodes = {key: Node(self._names[key], form) for key, form in self._forms.items()}
        return hoist(root, nodes, unfold=unfold)


def no_hash(path: str) -> UnsupportedType:
    """The refusal of a generic type whose arguments cannot be compared."""
    return refusal(path, "has an argument whose metadata has no hash", "use tuples in place of lists there")


def label(source: Any) -> str:
    """The name that a type would have in MDL text."""
    name = "".join(c for c in name_of(source) if c.isalnum() or c == "_")
    return name if name.isidentifier() else "Record"


def name_of(source: Any) -> str:
    """A type's name for people."""
    return getattr(source, "__name__", None) or str(source)
