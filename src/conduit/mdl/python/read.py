"""From a Python type to its form, or a refusal that names the path and the remedy.

Read from the types themselves, not from pydantic's schema: that one has lost the order of unions, the names of
records and the kind of a Decimal. Records, enums and aliases become the nodes of a graph, each read once, one after
the other; ``hoist`` then decides which of them get a name.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections import Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, NewType, TypeVar, Union, get_args, get_origin

import pydantic
import typing_extensions

from conduit.mdl.form import (
    Document,
    Form,
    Limits,
    ListOf,
    MapOf,
    Member,
    Null,
    Record,
    Scalar,
    TupleOf,
)
from conduit.mdl.forms.identities import Identities
from conduit.mdl.forms.keys import is_key
from conduit.mdl.forms.unions import union_of
from conduit.mdl.python import hints
from conduit.mdl.python.ambiguity import warn_of_ambiguity
from conduit.mdl.python.choices import enum_choice, literal_choice
from conduit.mdl.python.fields import FieldSource, fields_of, is_record
from conduit.mdl.python.generics import Scope, bindings, closed, stand_in
from conduit.mdl.python.graph import Graph, label, name_of, no_hash
from conduit.mdl.python.metadata import constrained, is_encoded, is_tagged, limits_in
from conduit.mdl.python.naming import naming_of
from conduit.mdl.python.refusals import refusal
from conduit.mdl.python.scalars import is_text, scalar_kind, why_not

_TRANSPARENT = (
    typing.Required, typing.NotRequired, typing_extensions.ReadOnly, typing.Final, ClassVar, pydantic.Secret,
)  # fmt: skip
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_LISTS = (list, deque, abc.Sequence, abc.MutableSequence, abc.Collection, *_SETS)
_MAPS = (dict, OrderedDict, defaultdict, abc.Mapping, abc.MutableMapping)
_MOST_LEVELS = 48


def read(source: Any, path: str = "") -> Document:
    """Reads a type into its canonical document.

    Args:
        source: The type.
        path: Where it stands, for refusals.

    Raises:
        UnsupportedType: MDL cannot express it; the error's ``path`` says where.
    """
    reader = TypeReader()
    return reader.document(reader.form(source, path))


def read_unfolded(source: Any) -> Document:
    """Reads a type into a document that names only what is recursive.

    Raises:
        UnsupportedType: MDL cannot express it, or it is too large without names.
    """
    reader = TypeReader()
    return reader.document(reader.form(source, ""), unfold=True)


class TypeReader:
    """One reading."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._unions: list[tuple[str, list[Form]]] = []
        self._identities = Identities()
        self._level = 0

    def document(self, root: Form, *, unfold: bool = False) -> Document:
        """The document of a form that this reader made.

        Raises:
            UnsupportedType: A record inside cannot be expressed.
        """
        self._graph.complete()
        for path, options in self._unions:
            warn_of_ambiguity(path, options, self._graph.resolved)
        return self._graph.document(root, unfold=unfold)

    def record(self, name: str, fields: Iterable[FieldSource]) -> Record:
        """A record of these fields, such as a function's parameters."""
        return _record(name, tuple(self._member(field, field.name, Scope()) for field in fields), "")

    def form(self, source: Any, path: str, scope: Scope | None = None) -> Form:
        """The form of a type; records inside it are references until ``document`` has read them.

        Raises:
            UnsupportedType: MDL cannot express it.
        """
        if self._level >= _MOST_LEVELS:
            raise refusal(
                path, f"is nested more than {_MOST_LEVELS} levels deep", "name the inner part as a record"
            )
        self._level += 1
        try:
            return self._form(source, path, scope or Scope())
        finally:
            self._level -= 1

    def _form(self, source: Any, path: str, scope: Scope) -> Form:
        try:
            source = closed(source, scope.variables)
        except TypeError as error:
            raise no_hash(path) from error
        if isinstance(source, str | typing.ForwardRef):
            raise refusal(
                path, f"{source!r} does not resolve", "define the type at module level, before its use"
            )
        if isinstance(source, TypeVar):
            return self._variable(source, path, scope)
        if source is Any or source is object or source is typing.Self:
            raise refusal(path, f"{name_of(source)} has no shape", "name the type that you expect")
        if source is None or source is type(None):
            raise refusal(path, "is always None", "leave the field out, or make it `Optional[...]` of a type")
        if isinstance(source, NewType):
            return self.form(source.__supertype__, path, scope)
        origin = get_origin(source)
        if isinstance(source, hints.ALIASES) or isinstance(origin, hints.ALIASES):
            return self._alias(source, path, scope)
        if origin is Annotated:
            inner, *metadata = get_args(source)
            return self._annotated(inner, metadata, path, scope)
        if origin in _TRANSPARENT:
            return self.form(get_args(source)[0], path, scope)
        if origin in (Union, types.UnionType):
            return self._union(get_args(source), path, scope, tagged=False)
        if origin is Literal:
            return literal_choice(get_args(source), path)
        if origin is not None and is_text(origin):
            return Scalar("str")
        if is_record(origin or source):
            return self._record(source, path, scope)
        if origin is not None:
            return self._collection(source, origin, get_args(source), path, scope)
        if inspect.isclass(source):
            return self._class(source, path)
        raise refusal(
            path, f"{name_of(source)} cannot be expressed", "use a plain type, a record or a collection"
        )

    def _annotated(self, source: Any, metadata: Iterable[Any], path: str, scope: Scope) -> Form:
        metadata = tuple(metadata)
        if is_encoded(metadata):
            return Scalar("str")
        if is_tagged(metadata) and get_origin(source) in (Union, types.UnionType):
            form = self._union(get_args(source), path, scope, tagged=True)
        else:
            form = self.form(source, path, scope)
        return constrained(form, limits_in(metadata, path), path, self._graph.resolved)

    def _variable(self, variable: TypeVar, path: str, scope: Scope) -> Form:
        source = stand_in(variable)
        if isinstance(source, str | typing.ForwardRef):
            source = hints.resolved(source, variable.__module__, {}, path)
        if source is None:
            raise refusal(
                path, f"{variable} has no shape", f"say what it is: `Name[str]` for `Name[{variable}]`"
            )
        return self.form(source, path, scope)

    def _union(self, sources: tuple[Any, ...], path: str, scope: Scope, *, tagged: bool) -> Form:
        options = [Null() if _is_none(source) else self.form(source, path, scope) for source in sources]
        if not tagged:
            self._unions.append((path, options))
        return union_of(options, self._identities)

    def _collection(self, source: Any, origin: Any, args: tuple[Any, ...], path: str, scope: Scope) -> Form:
        if getattr(source, "__args__", None) is None:
            return self._class(origin, path)
        if origin in _LISTS:
            return ListOf(self.form(args[0], f"{path}[]", scope), Limits(unique=origin in _SETS))
        if origin is Counter:
            return MapOf(self._key(args[0], path, scope), Scalar("int"))
        if origin in _MAPS:
            return MapOf(self._key(args[0], path, scope), self.form(args[1], f"{path}{{}}", scope))
        if origin is tuple:
            if len(args) == 2 and args[1] is ...:
                return TupleOf((self.form(args[0], f"{path}[]", scope),), variadic=True)
            return TupleOf(tuple(self.form(arg, f"{path}[{i}]", scope) for i, arg in enumerate(args)))
        raise refusal(
            path, f"{name_of(source)} cannot be expressed", "use a list, dict, tuple, set or record"
        )

    def _key(self, source: Any, path: str, scope: Scope) -> Form:
        """The form of a map's keys, which stands in place even where the type has a name elsewhere."""
        key = self._graph.resolved(self.form(source, f"{path}{{key}}", scope))
        if not is_key(key):
            raise refusal(
                path,
                "has keys that are not text",
                "JSON keys are strings: use `dict[str, ...]` or a list of records",
            )
        return key

    def _class(self, source: type, path: str) -> Form:
        if (kind := scalar_kind(source)) is not None:
            return Scalar(kind)
        if issubclass(source, enum.Enum):
            return self._graph.node(source, source, path, lambda: enum_choice(source, path))
        if issubclass(source, pydantic.RootModel):
            return self._root_model(source, path)
        if (reason := why_not(source)) is not None:
            raise refusal(path, *reason)
        if source in (*_LISTS, *_MAPS, Counter, tuple):
            remedy = (
                "list[str]"
                if source in _LISTS
                else "tuple[str, int]"
                if source is tuple
                else "dict[str, str]"
            )
            raise refusal(
                path, f"bare {source.__name__} does not say of what", f"write `{remedy}` or the like"
            )
        raise refusal(
            path, f"{name_of(source)} cannot be expressed", "use a dataclass, a pydantic model or a TypedDict"
        )

    def _root_model(self, source: Any, path: str) -> Form:
        def inside() -> Form:
            hints.completed(source, path)
            info = source.model_fields["root"]
            metadata = (*info.metadata, info) if info.discriminator else info.metadata
            return self._annotated(info.annotation, metadata, path, Scope({typing.Self: source}))

        return self._graph.node(source, source, path, inside)

    def _alias(self, source: Any, path: str, scope: Scope) -> Form:
        def inside() -> Form:
            alias = get_origin(source) or source
            variables = dict(zip(alias.__type_params__, get_args(source), strict=False))
            return self.form(hints.alias_value(alias, path), path, Scope(variables, scope.naming))

        return self._graph.node(source, get_origin(source) or source, path, inside)

    def _record(self, source: Any, path: str, scope: Scope) -> Form:
        origin = get_origin(source) or source
        naming = naming_of(origin, scope.naming)

        def inside() -> Form:
            within = Scope({**bindings(source), typing.Self: source}, naming)
            members = tuple(
                self._member(field, f"{path}.{field.attribute}" if path else field.attribute, within)
                for field in fields_of(origin, path, naming)
            )
            record = _record(label(source), members, path)
            return dataclasses.replace(record, positional=issubclass(origin, tuple))

        return self._graph.node((source, naming.key), source, path, inside)

    def _member(self, field: FieldSource, path: str, scope: Scope) -> Member:
        if not field.name.isidentifier():
            raise refusal(path, "is not an identifier", "give the field an identifier as its name or alias")
        form = self._annotated(field.annotation, field.metadata, path, scope)
        return Member(
            field.name, form, field.doc, field.required, field.has_default, field.default, field.aliases
        )


def _record(name: str, members: tuple[Member, ...], path: str) -> Record:
    for member_name, count in Counter(member.name for member in members).items():
        if count > 1:
            raise refusal(
                path, f"{name} has the name {member_name} twice", "give one of the fields another alias"
            )
    return Record(name, members)


def _is_none(source: Any) -> bool:
    while get_origin(source) is Annotated:
        source = get_args(source)[0]
    return source is None or source is type(None)
