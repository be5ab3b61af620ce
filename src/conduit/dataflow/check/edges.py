"""An edge of a flow: what a producer gives, against what the parameter of a consumer takes."""

from __future__ import annotations

import ast
from collections import abc
from typing import Any, Literal, get_args, get_origin

from conduit.dataflow.check import scalars, shapes
from conduit.dataflow.check.call import Argument
from conduit.dataflow.check.fits import Fit, Judgement, judge
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.shapes import generic, shown, tuple_of
from conduit.dataflow.check.values import NOTHING, Method, Value
from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.mapping import ItemFailure


def settled(source: Any) -> Any:
    """A type with the values of handles in their place, as a block's call has them."""
    origin, args = get_origin(source), get_args(source)
    if origin is BlockFuture:
        return args[0]
    if origin is list and args and get_origin(args[0]) is BlockFuture:
        return generic(list, get_args(args[0])[0])
    if origin is tuple and any(get_origin(arg) is BlockFuture for arg in args):
        return tuple_of(settled(arg) for arg in args)
    if origin is dict and len(args) == 2:
        return generic(dict, args[0], settled(args[1]))
    return source


def check(argument: Argument, taker: Any, name: str, notes: Notes) -> None:
    """Notes what is wrong with an argument.

    Args:
        argument: What is given.
        taker: The parameter's type.
        name: The consumer and its parameter, as ``triage(message)``.
        notes: Where to.
    """
    value = argument.value
    if value.known is not NOTHING:
        if not isinstance(value.known, Method) and scalars.passes(value.known, taker) is False:
            what = getattr(value.known, "__name__", shown(type(value.known)))
            hint = (
                f"Call it: {what}(…)."
                if callable(value.known) and not isinstance(value.known, type)
                else None
            )
            notes.add(
                "check.edge_type",
                argument.node,
                f"{name} takes {shown(taker)}, and gets {what} itself.",
                hint,
            )
        return
    giver = settled(value.type)
    judged = judge(giver, taker)
    if judged.fit is not Fit.ALWAYS:
        note(judged, giver, taker, name, argument.node, notes)


def note(
    judged: Judgement, giver: Any, taker: Any, name: str, at: ast.AST, notes: Notes, what: str = "gets"
) -> None:
    """Notes a judgement that is not the best."""
    within = ""
    if shown(judged.giver) != shown(giver) and judged.giver is not Any:
        within = f"; {shown(judged.giver)} is no {shown(judged.taker)}"
    failures = ItemFailure in shapes.options(judged.giver)
    code = (
        "check.item_failure" if failures and judge(ItemFailure, judged.taker).fit is Fit.NEVER
        else "check.edge_type" if judged.fit is Fit.NEVER
        else "check.edge_partly"
    )  # fmt: skip
    only = "only some values of " if code == "check.edge_partly" and not within else ""
    given = shown(giver)
    if get_origin(giver) is Literal and len(get_args(giver)) == 1:
        value = get_args(giver)[0]
        given = f"the {type(value).__name__} {value!r:.60}"
    told = f"{name} takes {shown(taker)}, and {what} {given}{within}."
    if only:
        told = f"{name} takes {shown(taker)}, and {what} {given}: only some of its values pass."
    notes.add(code, at, told, _hint(judged, giver, taker, failures=failures))


def _hint(judged: Judgement, giver: Any, taker: Any, *, failures: bool) -> str | None:
    if failures:
        return "Leave the failures out: [x for x in results if not isinstance(x, ItemFailure)]."
    if get_origin(giver) is abc.Coroutine:
        return "Put `await` before the call that gives it."
    if type(None) in shapes.options(judged.giver):
        return "Say what happens to None: test for it before, or let the parameter take it."
    item = shapes.items_of(giver)
    if item not in (None, Any) and giver is not str and judge(item, taker).fit is Fit.ALWAYS:
        return "Give the items one by one: .map(…) calls the block for each."
    wanted = shapes.items_of(taker)
    if wanted not in (None, Any) and taker is not str and judge(giver, wanted).fit is Fit.ALWAYS:
        return "Put it into a list, if one item is meant: […]."
    if shapes.is_record(giver) and not shapes.is_typed_dict(giver):
        fields = [
            f for f, t in shapes.hints_of(giver).items() if f[0] != "_" and judge(t, taker).fit is Fit.ALWAYS
        ]
        if fields:
            return f"A field of it fits: {', '.join(f'.{name}' for name in fields[:3])}."
    if judged.fit is Fit.SOME:
        return "Convert it where it is made, so that what does not fit fails there."
    return f"Convert it to {shown(judged.taker)} before, or change one of the two annotations."


def check_items(argument: Argument, taker: Any, name: str, notes: Notes) -> None:
    """Notes what is wrong with the items of a map."""
    giver = settled(argument.value.type)
    value = Value(giver)
    items = value.items
    if argument.value.known is not NOTHING and not isinstance(argument.value.known, Method):
        if not hasattr(argument.value.known, "__iter__"):
            notes.add(
                "check.not_iterable",
                argument.node,
                f"{name} takes several items, and gets {argument.value.known!r:.60}.",
            )
        return
    if items is None or (get_args(giver) == () and giver in (str, bytes)):
        notes.add(
            "check.not_iterable", argument.node, f"{name} takes several items, and gets {shown(giver)}.",
            "Give a list; a single value needs no map: call the block.",
        )  # fmt: skip
        return
    judged = judge(items, taker)
    if judged.fit is not Fit.ALWAYS:
        note(judged, items, taker, name, argument.node, notes, "gets items that are")
