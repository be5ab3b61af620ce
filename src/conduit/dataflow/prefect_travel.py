"""Blocks of a program's own module on their way to other processes.

A block travels as the name of its module and its own. Where the module is the program itself, that name means
another module in a worker, or another copy of this one, with other classes than those of the values that come.
Cloudpickle, by which task runners send such a module's functions and classes, takes the whole block along; a worker
keeps the first copy that it gets, and with it one LMLite.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

from conduit.dataflow.definition import Definition
from conduit.dataflow.options import Options

# Definitions that a worker keeps; the oldest go.
_MOST_KEPT = 256

_tokens: WeakKeyDictionary[Definition, str] = WeakKeyDictionary()
_sent: WeakValueDictionary[str, Definition] = WeakValueDictionary()
_kept: dict[str, Definition] = {}


def take_along(kinds: Iterable[type]) -> None:
    """Has cloudpickle send blocks of these classes as a whole when they are of the program's own module."""
    # Prefect's own, as is what it is used for.
    table = importlib.import_module("cloudpickle").CloudPickler.dispatch_table
    for kind in kinds:
        table.setdefault(kind, _reduced)
    # A copy of it would be taken for the default of a dataclass's field that has none.
    table.setdefault(type(dataclasses.MISSING), lambda _: (_missing, ()))


def _missing() -> Any:
    return dataclasses.MISSING


def _reduced(block: Any) -> tuple[Any, ...]:
    if block.__module__ != "__main__":
        plain: tuple[Any, ...] = block.__reduce__()
        return plain
    token = _tokens.setdefault(block.definition, uuid4().hex)
    _sent[token] = block.definition
    return _brought, (token, type(block), block.definition, block.options, block.bound)


def _brought(token: str, kind: Any, definition: Definition, options: Options, bound: tuple[Any, ...]) -> Any:
    known = _sent.get(token) or _kept.setdefault(token, definition)
    if len(_kept) > _MOST_KEPT:
        _kept.pop(next(iter(_kept)))
    return kind(known, options, bound)
