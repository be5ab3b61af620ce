"""Blocks as they are defined: their annotations, what a model can be told of them, and what can be kept."""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from conduit import mdl
from conduit.dataflow.answered import Answered
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import scalars, shapes
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.source import Definition
from conduit.dataflow.contract import Kind
from conduit.errors import ConduitError, SchemaUnsupported, UnsupportedType

_SHOWN = 3


def hints(block: BlockBase) -> dict[str, Any]:
    """The annotations of a block as types; none where they cannot be read."""
    definition: Any = block.definition
    return _hints(definition)


@lru_cache(maxsize=4096)
def _hints(definition: Any) -> dict[str, Any]:
    try:
        return dict(definition.contract.hints())
    except Exception:
        return {}


def check(block: BlockBase, node: Definition, notes: Notes) -> None:
    """Notes what is wrong with a block's definition."""
    try:
        block.definition.contract.build()
    except ConduitError as error:
        notes.add("check.block", node, error.message, error.hint)
        return
    except Exception as error:  # pydantic meets a type that it cannot even refuse
        told = f"The signature of block {block.options.name!r} cannot be validated: {error}"
        notes.add("check.block", node, told, "Annotate with types that pydantic knows, or with Any.")
        return
    _annotated(node, notes)
    if isinstance(block.definition, Answered):
        _told(block.definition, node, notes)
    if block.options.cache:
        check_keeping(block, "the cache", node, notes)


def _annotated(node: Definition, notes: Notes) -> None:
    given = node.args
    written = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    written += [each for each in (given.vararg, given.kwarg) if each is not None]
    for place, argument in enumerate(written):
        is_object = place == 0 and argument.arg in ("self", "cls")
        if argument.annotation is None and not is_object:
            notes.add(
                "check.unannotated", argument, f"{node.name}({argument.arg}) has no annotation: anything passes.",
                "Annotate it; with Any where anything is meant.",
            )  # fmt: skip
    if node.returns is None:
        notes.add(
            "check.unannotated", node, f"{node.name} does not say what it returns: what it feeds is not checked.",
            "Annotate the result; with Any where anything is meant.",
        )  # fmt: skip


def _told(definition: Answered, node: Definition, notes: Notes) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", mdl.AmbiguousUnion)
        try:
            prompt = definition.prompt
            lowered = mdl.lower(prompt.schema, "llguidance")
        except UnsupportedType as error:
            notes.add("check.mdl_type", _place(node, error.path), f"{node.name}: {error.message}", error.hint)
            return
        except SchemaUnsupported as error:
            notes.add("check.mdl_type", node.returns or node, f"{node.name}: {error.message}", error.hint)
            return
        except ConduitError as error:
            notes.add("check.block", node, error.message, error.hint)
            return
    for warned in said:
        if issubclass(warned.category, mdl.AmbiguousUnion):
            notes.add("check.mdl_ambiguous", node.returns or node, f"{node.name}: {warned.message}")
    # A set takes what is there twice as one: that is no fault of an answer.
    left = [e for e in lowered.entries if e.verdict == "validation" and e.keyword != "uniqueItems"]
    if left:
        named = ", ".join(f"{entry.keyword} of {entry.path}" for entry in left[:_SHOWN])
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        notes.add(
            "check.mdl_not_enforced", node.returns or node,
            f"{node.name}: no grammar holds the model to {named}{more}; what breaks it is asked for again.",
            "`conduit mdl show FILE:FUNCTION` says who enforces what.",
        )  # fmt: skip


def check_type(output: Any, at: ast.AST, notes: Notes) -> None:
    """Notes a type that no model can be asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mdl.json_schema(output)
        except UnsupportedType as error:
            notes.add("check.mdl_type", at, error.message, error.hint)


def _place(node: Definition, path: str) -> ast.AST:
    """The parameter that a path begins with, or the annotation of the result."""
    first = path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0].split("{", maxsplit=1)[0]
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        if argument.arg == first:
            return argument
    return node.returns or node


def check_keeping(block: BlockBase, where: str, at: ast.AST, notes: Notes) -> None:
    """Notes that a block's arguments or results cannot be kept: they have no form in JSON that reads back equal."""
    own = hints(block)
    skipped = [p.name for p in block.definition.contract.signature.parameters.values()][
        : 1 if block.bound else 0
    ]
    if block.definition.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR) and not isinstance(
        block.definition, Answered
    ):
        own = {**own, "return": shapes.items_of(own.get("return", Any)) or Any}
    elif isinstance(block.definition, Answered):
        own = {name: hint for name, hint in own.items() if name != "return"}
    for name, hint in own.items():
        if name in ("self", "cls", *skipped) or has_json_form(hint):
            continue
        what = "its result" if name == "return" else f"its argument {name}"
        notes.add(
            "check.not_cacheable", at,
            f"{block.options.name} cannot use {where}: {what}, {shapes.shown(hint)}, has no form in JSON.",
            "Use a dataclass or a pydantic model of plain types, or leave it out for this block.",
        )  # fmt: skip


def has_json_form(source: Any) -> bool:
    """Whether pydantic can write the values of a type as JSON and read them back; unknown types can."""
    adapter = scalars.adapter(source)
    if adapter is None:
        return True
    try:
        adapter.json_schema(mode="serialization")
        adapter.json_schema(mode="validation")
    except PydanticInvalidForJsonSchema:
        return False
    except (PydanticUserError, ValueError, TypeError, KeyError):
        return True
    return True
