"""From a Python type to its form, or a refusal that names the path and the remedy.

Read from the types themselves, not from pydantic's schema: that one has lost the order of unions, the names of
records and the kind of a Decimal.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections import abc
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import annotated_types
import pydantic
import pydantic_core
import typing_extensions
from pydantic.fields import FieldInfo

from conduit.mdl.docstrings import argument_docs
from conduit.mdl.form import (
    TEXT_KINDS,
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
    ScalarKind,
    TupleOf,
    UnionOf,
)
from conduit.mdl.refusals import refusal

_SCALARS: dict[Any, ScalarKind] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    uuid.UUID: "uuid",
    decimal.Decimal: "decimal",
    pydantic.AnyUrl: "url",
    pydantic.HttpUrl: "url",
    pydantic.EmailStr: "email",
}
_QUALIFIERS = (typing.Required, typing.NotRequired, typing_extensions.ReadOnly)
_LISTS = (list, set, frozenset, abc.Sequence, abc.Set, abc.MutableSequence, abc.MutableSet, abc.Collection)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_LIMIT_NAMES = tuple(item.name for item in dataclasses.fields(Limits) if item.name != "unique")
_NUMBER_LIMITS = frozenset({"ge", "gt", "le", "lt", "multiple_of"})


def read(source: Any) -> Document:
    """Reads a type.

    Raises:
        UnsupportedType: MDL cannot express it; the error's ``path`` says where.
    """
    reader = TypeReader()
    return reader.document(reader.form(source, ""))


class TypeReader:
    """One reading: remembers which records are open, so that recursive ones become references."""

    def __init__(self) -> None:
        self._names: dict[type, str] = {}
        self._open: list[type] = []
        self._recursive: set[str] = set()
        self._records: dict[str, Record] = {}

    def document(self, root: Form) -> Document:
        return Document(root, tuple((name, self._records[name]) for name in sorted(self._recursive)))

    def form(self, source: Any, path: str) -> Form:
        if isinstance(source, str | typing.ForwardRef):
            raise refusal(
                path, f"{source!r} does not resolve", "define the type at module level, before its use"
            )
        if source is Any or source is object or isinstance(source, typing.TypeVar):
            raise refusal(path, f"{_name(source)} has no shape", "name the type that you expect")
        if source is None or source is type(None):
            raise refusal(path, "is always None", "leave the field out, or make it `Optional[...]` of a type")
        if isinstance(source, NewType):
            return self.form(source.__supertype__, path)
        if isinstance(source, typing_extensions.TypeAliasType):
            return self.form(source.__value__, path)
        origin = get_origin(source)
        if origin is Annotated:
            inner, *metadata = get_args(source)
            return _limited(self.form(inner, path), metadata, path)
        if origin in _QUALIFIERS:
            return self.form(get_args(source)[0], path)
        if origin in (Union, types.UnionType):
            return self._union(get_args(source), path)
        if origin is Literal:
            return _choice(get_args(source), path)
        if source in _SCALARS:
            return Scalar(_SCALARS[source])
        if origin is not None and not _is_record(source):
            return self._collection(source, origin, get_args(source), path)
        if inspect.isclass(source):
            return self._class(source, path)
        raise refusal(
            path, f"{_name(source)} cannot be expressed", "use a plain type, a record or a collection"
        )

    def member(
        self,
        name: str,
        source: Any,
        doc: str,
        has_default: bool,
        default: Any,
        path: str,
        required: bool = True,
    ) -> Member:
        if not name.isidentifier():
            raise refusal(path, "is not an identifier", "give the field an identifier as its name or alias")
        if get_origin(source) is Annotated:
            doc = doc or _annotated_doc(get_args(source)[1:])
        form = self.form(source, path)
        if not has_default:
            return Member(name, form, doc, required=required)
        try:
            value = pydantic_core.to_jsonable_python(default)
        except pydantic_core.PydanticSerializationError as error:
            raise refusal(
                path, f"has a default {default!r} that JSON cannot hold", "drop the default"
            ) from error
        return Member(name, form, doc, required=False, has_default=True, default=value)

    def _union(self, options: tuple[Any, ...], path: str) -> Form:
        forms: list[Form] = []
        for option in options:
            form: Form = Null() if option is type(None) else self.form(option, path)
            for part in form.options if isinstance(form, UnionOf) else (form,):
                if part not in forms:
                    forms.append(part)
        return forms[0] if len(forms) == 1 else UnionOf(tuple(forms))

    def _collection(self, source: Any, origin: Any, args: tuple[Any, ...], path: str) -> Form:
        if origin in _LISTS:
            return ListOf(self.form(args[0], f"{path}[]"), Limits(unique=origin in _SETS))
        if origin in _MAPS:
            key = self.form(args[0], f"{path}{{key}}")
            _check_key(key, path)
            return MapOf(key, self.form(args[1], f"{path}{{}}"))
        if origin is tuple:
            if args[-1] is ...:
                return TupleOf((self.form(args[0], f"{path}[]"),), variadic=True)
            return TupleOf(tuple(self.form(arg, f"{path}[{i}]") for i, arg in enumerate(args)))
        raise refusal(path, f"{_name(source)} cannot be expressed", "use a list, dict, tuple, set or record")

    def _class(self, source: type, path: str) -> Form:
        if issubclass(source, enum.Enum):
            return _choice(tuple(member.value for member in source), path)
        if _is_record(source):
            return self._record(source, path)
        if source in (*_LISTS, *_MAPS, tuple):
            remedy = (
                "list[str]"
                if source in _LISTS
                else "dict[str, str]"
                if source in _MAPS
                else "tuple[str, int]"
            )
            raise refusal(
                path, f"bare {source.__name__} does not say of what", f"write `{remedy}` or the like"
            )
        if source in (bytes, bytearray, memoryview):
            raise refusal(
                path,
                f"{source.__name__} is not text",
                "use `str`, or keep the bytes out of the model's sight",
            )
        raise refusal(
            path, f"{_name(source)} cannot be expressed", "use a dataclass, a pydantic model or a TypedDict"
        )

    def _record(self, source: type, path: str) -> Form:
        name = self._unique_name(source)
        if source in self._open:
            self._recursive.add(name)
            return Ref(name)
        self._open.append(source)
        record = Record(name, tuple(self._members(source, path)))
        self._open.pop()
        self._records[name] = record
        return Ref(name) if name in self._recursive else record

    def _unique_name(self, source: type) -> str:
        if source not in self._names:
            base = "".join(c for c in source.__name__ if c.isalnum() or c == "_") or "Record"
            taken = set(self._names.values())
            numbered = (f"{base}{n}" for n in range(2, len(taken) + 3))
            self._names[source] = base if base not in taken else next(n for n in numbered if n not in taken)
        return self._names[source]

    def _members(self, source: Any, path: str) -> typing.Iterator[Member]:
        def at(name: str) -> str:
            return f"{path}.{name}" if path else name

        if issubclass(source, pydantic.BaseModel):
            hints_of(source, path or source.__name__)
            for name, info in source.model_fields.items():
                yield self._field(
                    info.validation_alias or info.alias or name, info.annotation, info, at(name)
                )
            return
        docs = argument_docs(source)
        hints = hints_of(source, path or source.__name__)
        if dataclasses.is_dataclass(source):
            for item in dataclasses.fields(source):
                if not item.init:
                    continue
                if isinstance(item.default, FieldInfo):
                    yield self._field(item.name, hints[item.name], item.default, at(item.name))
                    continue
                factory = item.default_factory
                has_default = item.default is not dataclasses.MISSING or factory is not dataclasses.MISSING
                default = factory() if factory is not dataclasses.MISSING else item.default
                doc = docs.get(item.name, "")
                yield self.member(
                    item.name,
                    hints[item.name],
                    doc,
                    has_default,
                    default if has_default else None,
                    at(item.name),
                )
        elif typing.is_typeddict(source):
            for name, hint in hints.items():
                yield self.member(
                    name, hint, docs.get(name, ""), False, None, at(name), name in source.__required_keys__
                )
        else:
            defaults: Mapping[str, Any] = source._field_defaults
            for name in source._fields:
                if name not in hints:
                    raise refusal(at(name), "has no annotation", "use `typing.NamedTuple` with types")
                yield self.member(
                    name, hints[name], docs.get(name, ""), name in defaults, defaults.get(name), at(name)
                )

    def _field(self, name: Any, annotation: Any, info: FieldInfo, path: str) -> Member:
        if not isinstance(name, str):
            raise refusal(path, "has several aliases", "give it one alias that is a string")
        default = info.get_default(call_default_factory=True, validated_data={})
        member = self.member(name, annotation, info.description or "", not info.is_required(), default, path)
        return dataclasses.replace(member, form=_limited(member.form, info.metadata, path))


def _is_record(source: Any) -> bool:
    return inspect.isclass(source) and (
        dataclasses.is_dataclass(source)
        or issubclass(source, pydantic.BaseModel)
        or typing.is_typeddict(source)
        or (issubclass(source, tuple) and hasattr(source, "_fields"))
    )


def hints_of(source: Any, path: str) -> dict[str, Any]:
    """The resolved annotations of a class or function.

    Raises:
        UnsupportedType: A name in them does not resolve.
    """
    try:
        if inspect.isclass(source) and issubclass(source, pydantic.BaseModel):
            source.model_rebuild()
            return {}
        return typing.get_type_hints(source, include_extras=True)
    except (NameError, AttributeError, pydantic.errors.PydanticUndefinedAnnotation) as error:
        raise refusal(
            path, f"an annotation does not resolve ({error})", "define the type at module level"
        ) from error


def _choice(values: tuple[Any, ...], path: str) -> Choice:
    plain = tuple(value.value if isinstance(value, enum.Enum) else value for value in values)
    for value in plain:
        if not isinstance(value, str | int | bool | None):
            raise refusal(
                path, f"the choice {value!r} is no JSON scalar", "use strings, integers or booleans"
            )
    if not plain:
        raise refusal(path, "has no members", "give the Enum at least one")
    return Choice(plain)


def _check_key(key: Form, path: str) -> None:
    match key:
        case Scalar(kind=kind) if kind in TEXT_KINDS or kind == "int":
            return
        case Choice(values=values) if all(isinstance(value, str) for value in values):
            return
    raise refusal(
        path, "has keys that are not text", "JSON keys are strings: use `dict[str, ...]` or a list of records"
    )


def _annotated_doc(metadata: tuple[Any, ...]) -> str:
    for item in metadata:
        if isinstance(item, str):
            return item
        if isinstance(item, FieldInfo) and item.description:
            return item.description
        if isinstance(item, annotated_types.DocInfo):
            return item.documentation
    return ""


def _limited(form: Form, metadata: typing.Iterable[Any], path: str) -> Form:
    """Adds the constraints that stand in the metadata of an ``Annotated`` or a field."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            form = _limited(form, item.metadata, path)
        for name in _LIMIT_NAMES:
            if (value := getattr(item, name, None)) is not None:
                found[name] = getattr(value, "pattern", value) if name == "pattern" else value
    if not found:
        return form
    if isinstance(form, UnionOf):
        parts = tuple(
            part if isinstance(part, Null) else _limited(part, metadata, path) for part in form.options
        )
        return UnionOf(parts)
    numeric = isinstance(form, Scalar) and form.kind in ("int", "float", "decimal")
    textual = isinstance(form, Scalar) and form.kind in ("str", "url", "email")
    sized = textual or isinstance(form, ListOf | TupleOf | MapOf)
    for name, value in found.items():
        fits = numeric if name in _NUMBER_LIMITS else textual if name == "pattern" else sized
        if not fits:
            raise refusal(path, f"the constraint {name}={value!r} does not go with its type", "drop it")
    assert isinstance(form, Scalar | ListOf | TupleOf | MapOf)
    return dataclasses.replace(form, limits=dataclasses.replace(form.limits, **found))


def _name(source: Any) -> str:
    return getattr(source, "__name__", None) or str(source)
