"""The fields of a record class, whatever kind of class it is, with the names that JSON has for them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_args, get_origin

import pydantic
import pydantic.dataclasses
import typing_extensions
from pydantic.fields import FieldInfo

from conduit.mdl.python import defaults
from conduit.mdl.python.docstrings import attribute_docs
from conduit.mdl.python.hints import completed, hints_of
from conduit.mdl.python.metadata import doc_in
from conduit.mdl.python.naming import Naming
from conduit.mdl.python.refusals import refusal
from conduit.mdl.text.words import folded

_NOT_REQUIRED = (typing.NotRequired, typing_extensions.NotRequired)
_REQUIRED = (typing.Required, typing_extensions.Required)


@dataclass(frozen=True)
class FieldSource:
    """One field before its type is read. ``attribute`` is its name in Python, ``name`` the one in JSON."""

    attribute: str
    name: str
    annotation: Any
    metadata: tuple[Any, ...]
    doc: str
    required: bool
    has_default: bool
    default: Any
    aliases: tuple[str, ...] = ()


def is_record(source: Any) -> bool:
    """Whether a class is a record: dataclass, pydantic model (but no ``RootModel``), TypedDict or NamedTuple."""
    return inspect.isclass(source) and (
        dataclasses.is_dataclass(source)
        or (issubclass(source, pydantic.BaseModel) and not issubclass(source, pydantic.RootModel))
        or typing_extensions.is_typeddict(source)
        or (issubclass(source, tuple) and hasattr(source, "_fields"))
    )


def fields_of(source: Any, path: str, naming: Naming) -> Iterator[FieldSource]:
    """The fields that a value of the record is made from, in order.

    Computed fields, private attributes, class variables and fields that ``__init__`` does not take are none.

    Raises:
        UnsupportedType: One has no annotation or no plain name.
    """
    docs = attribute_docs(source)
    for name, info in _infos(source, path):
        at = f"{path}.{name}" if path else name
        names = naming.names(name, info, at)
        yield field_source(name, names, info, docs.get(name, ""), at)


def field_source(attribute: str, names: tuple[str, ...], info: FieldInfo, doc: str, path: str) -> FieldSource:
    """A field from pydantic's description of it; ``doc`` counts if that has none.

    Raises:
        UnsupportedType: JSON cannot hold its default.
    """
    required, has_default, default = info.is_required(), False, None
    if info.default_factory is not None:
        has_default, default = defaults.made_by(info.default_factory)
    elif not required:
        has_default, default = True, defaults.as_json(info.default, path)
    name, *aliases = names
    return FieldSource(
        attribute=attribute,
        name=name,
        annotation=info.annotation,
        metadata=(*info.metadata, *(() if info.discriminator is None else (info,))),
        doc=folded(info.description or "") or doc_in(info.metadata) or doc,
        required=required,
        has_default=has_default,
        default=default,
        aliases=tuple(aliases),
    )


def _infos(source: Any, path: str) -> Iterator[tuple[str, FieldInfo]]:
    if issubclass(source, pydantic.BaseModel) or pydantic.dataclasses.is_pydantic_dataclass(source):
        completed(source, path or source.__name__)
        for name, info in source.__pydantic_fields__.items():
            if info.init is not False:
                yield name, info
        return
    hints = hints_of(source, path or source.__name__)
    if dataclasses.is_dataclass(source):
        yield from _dataclass_infos(source, hints)
    elif typing_extensions.is_typeddict(source):
        yield from _typed_dict_infos(source, hints)
    else:
        for name in source._fields:
            if name not in hints:
                at = f"{path}.{name}" if path else name
                raise refusal(at, "has no annotation", "use `typing.NamedTuple` with types")
            yield name, _info(hints[name], source._field_defaults.get(name, ...))


def _dataclass_infos(source: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, FieldInfo]]:
    for name, item in source.__dataclass_fields__.items():
        hint = hints[name]
        if not item.init or hint is ClassVar or get_origin(hint) is ClassVar:
            continue
        annotation = hint.type if isinstance(hint, dataclasses.InitVar) else hint
        info = _info(annotation, item.default if isinstance(item.default, FieldInfo) else item)
        if info.init is not False:
            yield name, info


def _typed_dict_infos(source: Any, hints: Mapping[str, Any]) -> Iterator[tuple[str, FieldInfo]]:
    for name, hint in hints.items():
        info = _info(hint, ...)
        qualifiers = set(_qualifiers(hint))
        # Where annotations are texts, the class itself could not see `Required` in them.
        required = name in source.__required_keys__ or not qualifiers.isdisjoint(_REQUIRED)
        if (not required or not qualifiers.isdisjoint(_NOT_REQUIRED)) and info.is_required():
            info.default_factory = _absent
        yield name, info


def _absent() -> None:
    """The default of a key that may be missing: there is none to show."""


def _qualifiers(hint: Any) -> Iterator[Any]:
    while (origin := get_origin(hint)) is not None:
        yield origin
        if origin is not Annotated and origin not in (*_REQUIRED, *_NOT_REQUIRED, typing_extensions.ReadOnly):
            return
        hint = get_args(hint)[0]


def _info(annotation: Any, default: Any) -> FieldInfo:
    if default is ...:
        return FieldInfo.from_annotation(annotation)
    return FieldInfo.from_annotated_attribute(annotation, default)
