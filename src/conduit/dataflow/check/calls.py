"""What a call gives, whatever is called: blocks, flows, models, classes, functions of the file and of Python."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections import abc
from typing import Any, TypeVar, get_args, get_origin

from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import block_calls, definitions, edges, known_calls, shapes
from conduit.dataflow.check.call import Call, bind
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Method, Value
from conduit.dataflow.futures import BlockFuture
from conduit.errors import ArgumentInvalid, ModelNotFound
from conduit.lmlite import LMLiteResource

_PREFECTS_OWN = ("return_state", "wait_for")


def is_flow(known: Any) -> bool:
    """Whether an object is one of Prefect's flows."""
    flows = sys.modules.get("prefect.flows")
    return flows is not None and isinstance(known, flows.Flow)


def is_task(known: Any) -> bool:
    """Whether an object is one of Prefect's tasks."""
    tasks = sys.modules.get("prefect.tasks")
    return tasks is not None and isinstance(known, tasks.Task)


def result(callee: Value, call: Call, notes: Notes) -> Value:
    """What the call gives; what is wrong with it is noted."""
    known = callee.known
    if known is NOTHING:
        return UNKNOWN
    if isinstance(known, Method):
        return _method(known, call, notes)
    if isinstance(known, BlockBase):
        return block_calls.result(known, call, notes)
    if is_flow(known):
        return _flow(known, call, notes)
    if is_task(known):
        return _task(known, call, notes)
    if isinstance(known, LMLiteResource):
        return _model(known, "", call, notes)
    if known is typing.cast and call.values:
        return of_annotation(call.values[0].known)
    made = known_calls.function(known, call.values) if callable(known) else None
    if made is not None:
        return made
    if inspect.isclass(known):
        return _instance(known)
    return _function(known, call)


def of_annotation(annotation: Any) -> Value:
    """A value of an annotated type."""
    return UNKNOWN if annotation is NOTHING else Value(shapes.plain(annotation))


def _instance(kind: type) -> Value:
    if issubclass(kind, dict) and not shapes.is_typed_dict(kind):
        return UNKNOWN
    if getattr(kind, "__parameters__", None) or kind.__module__ in (
        "typing",
        "types",
        "functools",
        "itertools",
    ):
        return UNKNOWN
    meta = type(kind)
    if "__call__" in vars(meta) and meta is not type and meta.__module__ != "enum":
        return UNKNOWN  # a metaclass that may give something else
    return Value(kind)


def _function(known: Any, call: Call) -> Value:
    if not known_calls.is_plain_function(known):
        return UNKNOWN
    if forms := typing.get_overloads(known):
        # Of several forms only one that is told the class of its result gives it away.
        return next((made for form in forms if (made := _told(form, call)).type is not Any), UNKNOWN)
    if inspect.isgeneratorfunction(known) or inspect.isasyncgenfunction(known):
        return of_annotation(shapes.hints_of(known).get("return", Any))
    hints = shapes.hints_of(known)
    returned = hints.get("return", Any)
    if isinstance(returned, TypeVar):
        returned = _solved(returned, hints, known, call)
    returned = Any if _is_open(returned) else shapes.plain(returned)
    return Value(
        shapes.generic(abc.Coroutine, Any, Any, returned) if inspect.iscoroutinefunction(known) else returned
    )


def _told(form: Any, call: Call) -> Value:
    hints = shapes.hints_of(form)
    returned = hints.get("return")
    made = _solved(returned, hints, form, call) if isinstance(returned, TypeVar) else Any
    if made is Any or not inspect.iscoroutinefunction(form):
        return Value(made)
    return Value(shapes.generic(abc.Coroutine, Any, Any, made))


def _is_open(source: Any) -> bool:
    """Whether there are variables in a type."""
    return isinstance(source, TypeVar) or any(_is_open(part) for part in get_args(source))


def _solved(variable: Any, hints: dict[str, Any], known: Any, call: Call) -> Any:
    """What a function that is told a class gives of it: ``def read(kind: type[T]) -> T``."""
    for place, name in enumerate(inspect.signature(known).parameters):
        hint = hints.get(name)
        given = call.argument(name, place)
        if get_origin(hint) is type and get_args(hint) == (variable,) and given is not None:
            return given.value.known if inspect.isclass(given.value.known) else Any
    return Any


def _flow(flow: Any, call: Call, notes: Notes) -> Value:
    own = {name: argument for name, argument in call.keywords.items() if name in _PREFECTS_OWN}
    rest = {name: argument for name, argument in call.keywords.items() if name not in own}
    hints = shapes.hints_of(flow.fn)
    takes = list(inspect.signature(flow.fn).parameters.values())
    for parameter, argument in bind(
        Call(call.node, call.args, rest, call.spread), flow.fn.__name__, takes, notes
    ):
        if parameter.name in hints and flow.should_validate_parameters:
            edges.check(argument, hints[parameter.name], f"{flow.fn.__name__}({parameter.name})", notes)
    returned = shapes.plain(hints.get("return", Any)) if known_calls.is_plain_function(flow.fn) else Any
    if "return_state" in own or inspect.isgeneratorfunction(flow.fn) or inspect.isasyncgenfunction(flow.fn):
        return UNKNOWN
    return Value(
        shapes.generic(abc.Coroutine, Any, Any, returned)
        if inspect.iscoroutinefunction(flow.fn)
        else returned
    )


def _task(task: Any, call: Call, notes: Notes) -> Value:
    rest = {name: argument for name, argument in call.keywords.items() if name not in _PREFECTS_OWN}
    takes = list(inspect.signature(task.fn).parameters.values())
    bind(Call(call.node, call.args, rest, call.spread), task.fn.__name__, takes, notes)
    if len(rest) < len(call.keywords):
        return UNKNOWN
    return _function(task.fn, call)


def _method(method: Method, call: Call, notes: Notes) -> Value:
    of, name = method.of, method.name
    if isinstance(of.known, BlockBase):
        return block_calls.method(of.known, name, call, notes)
    if isinstance(of.known, LMLiteResource):
        return _model(of.known, name, call, notes)
    if is_flow(of.known) or is_task(of.known):
        return of if name == "with_options" else UNKNOWN
    if of.known is not NOTHING:
        function = getattr(of.known, name, None)
        return UNKNOWN if function is None else result(Value(known=function), call, notes)
    if shapes.is_class(of.type) or get_origin(of.type) is not None:
        made = known_calls.method(of, name, call.values)
        if made is not None:
            return made
    return _method_of_instance(of.type, name, call)


def _method_of_instance(source: Any, name: str, call: Call) -> Value:
    if get_origin(source) is BlockFuture and name == "result":
        return Value(get_args(source)[0])
    if not shapes.is_class(source):
        return UNKNOWN
    static = inspect.getattr_static(source, name, None)
    if isinstance(static, staticmethod | classmethod):
        static = static.__func__
    return UNKNOWN if static is None or getattr(source, "__parameters__", None) else _function(static, call)


def _model(lm: LMLiteResource, name: str, call: Call, notes: Notes) -> Value:
    """A call of a model, or of one of an LMLite's methods."""
    if name not in ("", "acall", "reply", "areply", "stream", "astream"):
        return UNKNOWN
    check_model_id(lm, call.argument("model_id"), call.node, notes)
    output = call.argument("output")
    made: Any = str if output is None and not call.spread else Any
    if output is not None and isinstance(output.value.known, type):
        made = output.value.known
        definitions.check_type(made, output.node, notes)
    if name == "":
        return Value(made)
    return Value(shapes.generic(abc.Coroutine, Any, Any, made)) if name == "acall" else UNKNOWN


def check_model_id(lm: LMLiteResource, given: Any, at: ast.AST, notes: Notes) -> None:
    """Notes that a call names a model that its LMLite does not have, or none of several."""
    if given is not None and get_origin(given.value.type) is not typing.Literal:
        return
    try:
        lm.model_id_of(None if given is None else get_args(given.value.type)[0])
    except (ModelNotFound, ArgumentInvalid) as error:
        notes.add("check.model_id", at if given is None else given.node, error.message, error.hint)
