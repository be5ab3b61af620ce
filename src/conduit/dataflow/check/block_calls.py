"""Calls of blocks: what they take, checked edge by edge, and what they give."""

from __future__ import annotations

import inspect
from collections import abc
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from conduit import mdl
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import definitions, edges, shapes
from conduit.dataflow.check.call import Argument, Call, bind
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.shapes import generic
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Value
from conduit.dataflow.contract import ASYNC_STREAMS, SYNC_STREAMS, Kind
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.mapping import ItemFailure
from conduit.dataflow.mapping.stored import StoredResults
from conduit.errors import BlockDefinitionError

MAPS = ("map", "map_stored")
_ASYNC = (Kind.ASYNC, Kind.ASYNC_GENERATOR)


def result(block: BlockBase, call: Call, notes: Notes) -> Value:
    """A call of the block itself."""
    _arguments(block, call, notes)
    _many_tasks(block, call, notes)
    returned = _typed_rows(block, call)
    kind = block.definition.kind
    if kind is Kind.ASYNC:
        return Value(generic(abc.Coroutine, Any, Any, returned))
    if kind is Kind.GENERATOR:
        return Value(generic(abc.Generator, _item(returned, SYNC_STREAMS), None, Any))
    if kind is Kind.ASYNC_GENERATOR:
        return Value(generic(abc.AsyncGenerator, _item(returned, ASYNC_STREAMS), None))
    return Value(returned)


def method(block: BlockBase, name: str, call: Call, notes: Notes) -> Value:
    """A call of one of a block's methods."""
    if name == "submit":
        _arguments(block, call, notes)
        _many_tasks(block, call, notes)
        return Value(generic(BlockFuture, whole(block, call)))
    if name in MAPS:
        return _map(block, name, call, notes)
    if name == "with_options":
        return _with_options(block, call, notes)
    if name == "raw":
        return Value(shapes.plain(definitions.hints(block).get("return", Any)))
    return UNKNOWN


def whole(block: BlockBase, call: Call | None = None) -> Any:
    """The type of a call that is run to its end: what ``submit`` and an item of ``map`` give."""
    returned = _typed_rows(block, call)
    if block.definition.kind not in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
        return returned
    item = _item(returned, (*SYNC_STREAMS, *ASYNC_STREAMS))
    values = [part for part in shapes.options(item) if (get_origin(part) or part) is not mdl.Partial]
    return generic(list, item) if len(values) == len(shapes.options(item)) else shapes.union(values)


def parameters(block: BlockBase) -> list[inspect.Parameter]:
    """Those that a caller gives: without the object of a method."""
    return list(block.definition.contract.signature.parameters.values())[len(block.bound) :]


def _item(returned: Any, streams: tuple[Any, ...]) -> Any:
    parts = get_args(returned)
    return shapes.plain(parts[0]) if parts and get_origin(returned) in streams else Any


def _arguments(block: BlockBase, call: Call, notes: Notes) -> None:
    hints = definitions.hints(block)
    for parameter, argument in bind(call, block.options.name, parameters(block), notes):
        if parameter.name in hints:
            _edge(block, parameter, hints[parameter.name], argument, notes)


def _edge(
    block: BlockBase, parameter: inspect.Parameter, taker: Any, argument: Argument, notes: Notes
) -> None:
    # A parameter left at None by its own default is never validated; one that is given None is.
    edges.check(argument, taker, f"{block.options.name}({parameter.name})", notes)


def _map(block: BlockBase, name: str, call: Call, notes: Notes) -> Value:
    own = inspect.signature(getattr(type(block), name)).parameters
    options = {key for key, p in own.items() if p.kind is p.KEYWORD_ONLY}
    places = [key for key, p in own.items() if p.kind is p.POSITIONAL_OR_KEYWORD and key != "self"]
    items = call.argument("items", 0)
    takes = parameters(block)
    shown = f"{block.options.name}.{name}"
    if not takes or takes[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        notes.add(
            "check.arguments", call.node, f"{shown} cannot be: the block has no positional parameter for an item.",
            "map gives each item as the first argument.",
        )  # fmt: skip
        return UNKNOWN
    if items is None:
        if not call.spread:
            notes.add(
                "check.arguments",
                call.node,
                f"{shown} is called without items.",
                "The first argument is a list.",
            )
    else:
        hints = definitions.hints(block)
        if takes[0].name in hints:
            edges.check_items(items, hints[takes[0].name], f"{shown}({takes[0].name})", notes)
    _same(block, shown, Call(
        call.node, [], {k: a for k, a in call.keywords.items() if k not in options and k not in places}, call.spread
    ), takes, notes)  # fmt: skip
    if call.argument("ledger", 1 if name == "map_stored" else None) is not None:
        definitions.check_keeping(block, "a ledger", call.node, notes)
    collected = _errors(call)
    item = whole(block)
    if collected is not False:
        item = Any if collected is None else shapes.union((item, ItemFailure))
    size = None if items is None else items.value.size
    made: Any = generic(list if name == "map" else StoredResults, item)
    return Value(
        generic(abc.Coroutine, Any, Any, made) if block.definition.kind in _ASYNC else made, size=size
    )


def _errors(call: Call) -> bool | None:
    """Whether a map collects its failures; ``None`` if that cannot be seen."""
    given = call.argument("errors")
    if given is None:
        return None if call.spread else False
    values = get_args(given.value.type) if get_origin(given.value.type) is Literal else ()
    return None if len(values) != 1 else values[0] == "collect"


def collects(call: Call) -> bool:
    """Whether a map certainly puts failures among its results."""
    return _errors(call) is True


def _same(block: BlockBase, shown: str, call: Call, takes: Sequence[inspect.Parameter], notes: Notes) -> None:
    """The further arguments of a map, which go by name."""
    hints = definitions.hints(block)
    rest = [p.replace(kind=p.KEYWORD_ONLY) if p.kind is p.POSITIONAL_OR_KEYWORD else p for p in takes[1:]]
    if takes[0].kind is inspect.Parameter.VAR_POSITIONAL:
        rest = [takes[0], *rest]
    for parameter, argument in bind(call, shown, rest, notes):
        if parameter.name in hints:
            _edge(block, parameter, hints[parameter.name], argument, notes)


def _with_options(block: BlockBase, call: Call, notes: Notes) -> Value:
    """The block with other options, as far as they are written down."""
    written: dict[str, Any] = {}
    for name, argument in call.keywords.items():
        if get_origin(argument.value.type) is Literal and argument.value.known is NOTHING:
            written[name] = get_args(argument.value.type)[0]
    try:
        changed = block.with_options(**written)
        if changed.options.cache and not block.options.cache:
            definitions.check_keeping(block, "the cache", call.node, notes)
        return Value(type(block), known=changed)
    except BlockDefinitionError as error:
        notes.add("check.block", call.node, error.message, error.hint)
        return Value(type(block), known=block)


def _typed_rows(block: BlockBase, call: Call | None) -> Any:
    """What a block returns; of those that give rows of a type that they are told, rows of that type."""
    returned = shapes.plain(definitions.hints(block).get("return", Any))
    told = None if call is None else call.argument("row_type")
    if told is None or returned != list[Any] or not block.__module__.startswith("conduit.blocks"):
        return returned
    return generic(list, told.value.known) if isinstance(told.value.known, type) else returned


def _many_tasks(block: BlockBase, call: Call, notes: Notes) -> None:
    if call.repeated:
        notes.add(
            "check.many_tasks", call.node,
            f"{block.options.name} is called for each item of a list whose length nobody knows or that is long: "
            "each call is a Prefect task.",
            f"{block.options.name}.map(items) makes one task for 64 items, and keeps their order.",
        )  # fmt: skip
