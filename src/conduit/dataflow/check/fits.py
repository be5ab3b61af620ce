"""Whether a value of one type can be the argument of another: the law of an edge.

``NEVER`` is a promise: no value of the giver's type passes pydantic's validation as the taker's, empty collections
aside. ``SOME`` says that it depends on the value. What cannot be told is ``ALWAYS``: nothing is said of it.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from abc import ABCMeta
from collections import abc, deque
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Literal, Never, Union, get_args, get_origin

import pydantic

from conduit.dataflow.check import scalars, shapes, takers
from conduit.dataflow.check.shapes import LISTS, MAPS, plain
from conduit.dataflow.check.takers import is_class, is_sub

_DEEPEST = 10
_NUMBERS = (bool, int, float, complex)
_UNSEEN = (abc.Collection, abc.Container, abc.Iterator, abc.KeysView, abc.ValuesView)
"""Collections whose items pydantic does not look at."""


class Fit(IntEnum):
    """How much of a type passes; the least of several counts where all of them have to."""

    NEVER = 0
    SOME = 1
    ALWAYS = 2


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict, and the parts of the two types that decided it."""

    fit: Fit
    giver: Any = Any
    taker: Any = Any


_FINE = Judgement(Fit.ALWAYS)


def judge(giver: Any, taker: Any, depth: int = 0) -> Judgement:
    """Whether values of ``giver`` pass as ``taker``."""
    whole = taker
    giver, taker = plain(giver), plain(taker, taken=True)
    if depth > _DEEPEST or giver in (Any, Never) or taker is Any or _same(giver, taker):
        return _FINE
    if len(parts := shapes.options(giver)) > 1:
        return _any_of(giver, taker, [judge(part, taker, depth + 1) for part in parts])
    finite = _all_values(giver)
    if finite is not None:
        some, every = scalars.some_and_all(finite, whole)
        return _of(some, every, giver, taker)
    if get_origin(taker) in (Union, types.UnionType):
        return max((judge(giver, option, depth + 1) for option in get_args(taker)), key=lambda j: j.fit)
    if (get_origin(taker) or taker) in _UNSEEN or takers.has_own_will(taker):
        return _FINE
    return _judge(giver, taker, depth)


def _judge(giver: Any, taker: Any, depth: int) -> Judgement:
    """Neither is a union, the giver has more values than can be tried, and the taker is no stranger."""
    never = Judgement(Fit.NEVER, giver, taker)
    kind, wanted = get_origin(giver) or giver, get_origin(taker) or taker
    if not is_class(kind) or kind is type or wanted is type:
        return _FINE
    if kind is abc.Coroutine:
        return _FINE if wanted in (abc.Coroutine, abc.Awaitable) else never
    if wanted is Literal:
        return _to_choices(giver, get_args(taker), taker)
    if is_class(wanted) and is_sub(wanted, enum.Enum):
        return _to_choices(giver, [member.value for member in wanted], taker, loose=True)
    if (scalar := scalars.kind_of(kind)) is not None:
        return _from_scalar(giver, scalar, taker)
    if is_class(wanted) and is_sub(wanted, pydantic.RootModel):
        if is_sub(kind, wanted):
            return _FINE
        return judge(giver, wanted.model_fields["root"].annotation, depth + 1)
    if scalars.is_known(wanted) or is_sub(wanted, pydantic.AnyUrl):
        return _FINE if _acts_as_number(kind, wanted) or _is_abstract(kind) else never
    if shapes.is_typed_dict(giver) or kind in MAPS:
        return _from_map(giver, taker, depth)
    if kind in LISTS or (kind is tuple and not shapes.is_named_tuple(taker)):
        return _from_items(giver, taker, depth)
    return _from_instance(giver, kind, taker, wanted, depth)


def _from_scalar(giver: Any, kind: type, taker: Any) -> Judgement:
    wanted = get_origin(taker) or taker
    if is_class(wanted) and is_sub(giver, wanted) and wanted is not abc.Sequence:
        return _FINE
    if is_class(wanted) and is_sub(wanted, pydantic.AnyUrl) and kind in (str, bytes, pydantic.AnyUrl):
        return Judgement(Fit.SOME, giver, taker)
    if is_class(wanted) and is_sub(wanted, giver) and not scalars.is_known(wanted):
        return Judgement(Fit.SOME, giver, taker)
    bare = abc.Sequence[str] if wanted is abc.Sequence and get_args(taker) != (Any,) else _bare(taker)
    if bare is None:
        return _FINE
    some, every = scalars.some_and_all(scalars.SAMPLES[kind], bare)
    if bare is not taker and some:
        return _FINE
    return _of(some, every, giver, taker)


def _to_choices(giver: Any, values: Iterable[Any], taker: Any, *, loose: bool = False) -> Judgement:
    """Into a literal or an enum: only a value that is of a choice's kind can be one."""
    kind = scalars.kind_of(get_origin(giver) or giver)
    kinds = {type(value) for value in values}
    if any(is_sub(each, enum.Enum) for each in kinds) or any(
        scalars.kind_of(k) is None for k in kinds - {type(None)}
    ):
        return _FINE
    if kind is None:
        known = shapes.is_record(giver) or (get_origin(giver) or giver) in (*LISTS, *MAPS, abc.Coroutine)
        return Judgement(Fit.NEVER, giver, taker) if known else _FINE
    close = {scalars.kind_of(each) for each in kinds}
    plain_kinds = (str, bytes, bool, int, float, complex)
    fits = kind in close or (kind in _NUMBERS and any(each in _NUMBERS for each in close))
    if not fits and loose and (kind in plain_kinds or not close <= set(plain_kinds)):
        return _FINE
    return Judgement(Fit.SOME if fits else Fit.NEVER, giver, taker)


def _from_items(giver: Any, taker: Any, depth: int) -> Judgement:
    kind, wanted = get_origin(giver) or giver, get_origin(taker) or taker
    never = Judgement(Fit.NEVER, giver, taker)
    fixed = shapes.tuple_items(giver)
    if wanted in LISTS or wanted is tuple:
        if not any(scalars.passes(sample, _bare(taker)) is not False for sample in _like(kind)):
            return never
        places = shapes.tuple_items(taker)
        if places is None:
            item = shapes.items_of(taker)
            given = [shapes.items_of(giver)] if fixed is None else list(fixed)
            return _all_of(given, [item] * len(given), depth)
        if fixed is None:
            return _all_of([shapes.items_of(giver)] * len(places), list(places), depth)
        return never if len(fixed) != len(places) else _all_of(list(fixed), list(places), depth)
    if wanted in MAPS or shapes.is_record(taker):
        if shapes.is_named_tuple(taker) or _is_abstract(kind):
            return _FINE
        return never
    return _FINE if is_sub(kind, wanted) or _is_abstract(kind) else never


def _from_map(giver: Any, taker: Any, depth: int) -> Judgement:
    wanted = get_origin(taker) or taker
    never = Judgement(Fit.NEVER, giver, taker)
    if shapes.is_record(taker) and not shapes.is_named_tuple(taker):
        return _map_to_record(giver, taker, depth)
    if shapes.is_named_tuple(taker):
        return _FINE
    if wanted in MAPS:
        parts = get_args(taker)
        if len(parts) != 2:
            return _FINE
        key, value = parts
        if shapes.is_typed_dict(giver):
            hints = shapes.hints_of(giver)
            needed = [name for name in giver.__required_keys__ if name in hints]
            keys = _all_of([Literal[name] for name in needed], [key] * len(needed), depth)
            values = _all_of([hints[name] for name in needed], [value] * len(needed), depth)
            return min(keys, values, key=lambda j: j.fit)
        given = get_args(giver)
        return _FINE if len(given) != 2 else _all_of(list(given), [key, value], depth)
    if wanted in LISTS or wanted is tuple:
        accepted = any(scalars.passes(sample, _bare(taker)) is not False for sample in _like(dict))
        return _FINE if accepted else never
    kind = dict if shapes.is_typed_dict(giver) else get_origin(giver) or giver
    return _FINE if is_sub(kind, wanted) or _is_abstract(kind) else never


def _map_to_record(giver: Any, taker: Any, depth: int) -> Judgement:
    fields = takers.required(taker)
    if fields is None:
        return _FINE
    if shapes.is_typed_dict(giver):
        hints = shapes.hints_of(giver)
        if any(name not in hints for name in fields):
            return Judgement(Fit.NEVER, giver, taker)
        return _all_of([hints[name] for name in fields], list(fields.values()), depth)
    given = get_args(giver)
    if len(given) != 2 or not fields:
        return _FINE
    if judge(given[0], str, depth + 1).fit is Fit.NEVER:
        return Judgement(Fit.NEVER, giver, taker)
    judged = _all_of([given[1]] * len(fields), list(fields.values()), depth)
    return judged if judged.fit is Fit.NEVER else _FINE


def _from_instance(giver: Any, kind: type, taker: Any, wanted: Any, depth: int) -> Judgement:
    """Of a record or a plain class: only its own kind takes it."""
    never = Judgement(Fit.NEVER, giver, taker)
    if shapes.is_named_tuple(kind) and (wanted is tuple or wanted in LISTS):
        return _from_items(shapes.tuple_of(shapes.tuple_items(giver) or ()), taker, depth)
    if _is_abstract(kind) or _is_generic_model(kind, wanted):
        return _FINE
    if wanted in (list, tuple, set, frozenset):
        return _FINE if hasattr(kind, "__iter__") else never  # pydantic takes whatever can be iterated
    if wanted in (dict, abc.Mapping, abc.Sequence):
        return never if shapes.is_record(kind) and not is_sub(kind, abc.Mapping | abc.Sequence) else _FINE
    if wanted in LISTS or wanted in MAPS:
        return _FINE
    if shapes.is_typed_dict(wanted):
        return never if shapes.is_record(kind) and not is_sub(kind, abc.Mapping) else _FINE
    if not is_class(wanted) or is_sub(kind, wanted):
        return _FINE
    if shapes.is_named_tuple(wanted):
        return _FINE if is_sub(kind, tuple) else never
    return Judgement(Fit.SOME, giver, taker) if is_sub(wanted, kind) else never


def _is_generic_model(kind: type, wanted: Any) -> bool:
    origins = [
        (getattr(each, "__pydantic_generic_metadata__", None) or {}).get("origin") or each
        for each in (kind, wanted)
    ]
    return origins[0] is origins[1]


def _is_abstract(kind: type) -> bool:
    """Whether values may be of further kinds than the class says, and so of any."""
    return isinstance(kind, ABCMeta) and kind not in (*LISTS, *MAPS) and not is_sub(kind, pydantic.BaseModel)


def _acts_as_number(kind: type, wanted: Any) -> bool:
    names = ("__float__", "__index__", "__int__", "__complex__", "__fspath__", "__bytes__")
    own = any(hasattr(kind, name) for name in names)
    return own or (is_class(wanted) and is_sub(kind, wanted))


def _all_values(giver: Any) -> tuple[Any, ...] | None:
    """Every value that there is of a type that has few."""
    if get_origin(giver) is Literal:
        return get_args(giver)
    if giver is type(None):
        return (None,)
    if giver is bool:
        return (True, False)
    if is_class(giver) and is_sub(giver, enum.Enum) and not is_sub(giver, enum.Flag) and len(giver):
        return tuple(giver)
    return None


def _bare(taker: Any) -> Any:
    """A taker without what it says of its items; ``None`` for a kind of collection that is not known."""
    kind = get_origin(taker)
    if kind is None or kind is Literal:
        return taker
    if kind is tuple:
        return tuple[Any, ...]
    if kind in MAPS:
        return kind[Any, Any]
    if kind in LISTS:
        return kind[Any, Any, Any] if kind is abc.Generator else kind[Any]
    return None


def _like(kind: Any) -> list[Any]:
    """Examples of a collection; of an abstract one all that it may be."""
    made: dict[Any, Any] = {
        list: ["a"], tuple: ("a",), set: {"a"}, frozenset: frozenset("a"), deque: deque("a"), dict: {"a": "a"},
        abc.KeysView: {"a": "a"}.keys(), abc.ValuesView: {"a": "a"}.values(),
    }  # fmt: skip
    if kind in made:
        return [made[kind]]
    if kind in (abc.Generator, abc.Iterator):
        return [(each for each in "a")]
    return [value for value in made.values() if isinstance(value, kind)] or list(made.values())


def _same(giver: Any, taker: Any) -> bool:
    try:
        return bool(giver == taker)
    except Exception:
        return False


def _of(some: bool, every: bool, giver: Any, taker: Any) -> Judgement:
    return _FINE if every else Judgement(Fit.SOME if some else Fit.NEVER, giver, taker)


def _any_of(giver: Any, taker: Any, judged: list[Judgement]) -> Judgement:
    """A value has one of these types."""
    worst = min(judged, key=lambda j: j.fit)
    if worst.fit is Fit.ALWAYS:
        return _FINE
    if all(each.fit is Fit.NEVER for each in judged):
        return Judgement(Fit.NEVER, giver, taker)
    return Judgement(Fit.SOME, worst.giver, worst.taker)


def _all_of(givers: list[Any], takers: list[Any], depth: int) -> Judgement:
    """A value has all of these in it."""
    judged = [judge(g or Any, t or Any, depth + 1) for g, t in zip(givers, takers, strict=True)]
    return min(judged, key=lambda j: j.fit, default=_FINE)
