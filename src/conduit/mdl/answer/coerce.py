"""A value as it was written, held against the form that it should have.

Each part is held against its own form; what does not stand there as it should is concluded from the type where one
conclusion is possible only, at a price. Nothing is dropped that the type has a place for, no number loses digits,
and where two readings are equally near the answer is refused.

Cost grows with the value times the forms it is held against: each pair is looked at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from conduit.mdl.answer import leaves
from conduit.mdl.answer.fits import Fit, Miss, Problem, miss, moved, problems_below
from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.names import squeezed
from conduit.mdl.answer.notation import Bare, read_notation
from conduit.mdl.answer.numbers import plain_number
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.answer.scanner import NotNotation
from conduit.mdl.form import (
    Anything,
    Choice,
    Form,
    ListOf,
    MapOf,
    Member,
    Null,
    Record,
    Scalar,
    TupleOf,
    UnionOf,
)

_MOST_WRAPPER_KEYS: Final = 8
_WRITTEN: Final = {None: Bare("null"), True: Bare("true"), False: Bare("false")}
_MOST_ITEMS_FOR_ONE: Final = 16
_MOST_DECODINGS: Final = 3  # of JSON within strings within JSON


class Coercer:
    """Holds the parts of one answer against one document's forms."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._known: dict[tuple[int, int], tuple[Form, Any, Fit | Miss]] = {}
        self._decodings = 0

    def fit(self, form: Form, value: Any) -> Fit | Miss:
        """Holds ``value`` against ``form``; a pair that was looked at before costs nothing."""
        form = self._guide.resolved(form)
        if value is None or value is True or value is False:
            value = _WRITTEN[value]
        if isinstance(value, str) and isinstance(form, Scalar):
            return leaves.scalar(form, value)
        key = id(form), id(value)
        if key not in self._known:
            # The entry holds both, so that no other object takes the identity; a form that comes back to itself
            # with the same value gets nowhere.
            self._known[key] = form, value, miss("fits nowhere", form)
            self._known[key] = form, value, self._fit(form, value)
        return self._known[key][2]

    def _fit(self, form: Form, value: Any) -> Fit | Miss:
        match form:
            case Scalar() | Choice():
                return self._leaf(form, value)
            case Null():
                return leaves.null(value) or miss("is not null", form)
            case Anything():
                return Fit(as_json(value))
            case Record():
                return self._record(form, value)
            case ListOf(item=item):
                return self._list(form, item, value)
            case TupleOf():
                return self._tuple(form, value)
            case MapOf():
                return self._map(form, value)
            case UnionOf():
                return self._union(form, value)
            case _:
                raise AssertionError("references are followed before")

    # -- plain values ------------------------------------------------------------------------------

    def _leaf(self, form: Scalar | Choice, value: Any) -> Fit | Miss:
        if isinstance(value, str):
            return leaves.choice(form, value) if isinstance(form, Choice) else leaves.scalar(form, value)
        if isinstance(value, list):
            return self._only_item(form, value)
        return miss("is an object", form)

    def _only_item(self, form: Form, items: list[Any]) -> Fit | Miss:
        """The element of a list where no list should be: its only one, or of choices the only possible one."""
        if len(items) == 1 or (isinstance(form, Choice) and len(items) <= _MOST_ITEMS_FOR_ONE):
            found = [self.fit(form, item) for item in items]
            fits = [outcome for outcome in found if isinstance(outcome, Fit)]
            if len(fits) == 1:
                return fits[0].after("list-for-one")
            if len(items) == 1:
                return found[0]
        return miss(f"is a list of {len(items)}", form)

    # -- records -----------------------------------------------------------------------------------

    def _record(self, form: Record, value: Any) -> Fit | Miss:
        if isinstance(value, dict):
            found = self._members(form, value)
            if isinstance(found, Fit):
                return found
            return self._unwrapped(form, value) or self._implied(form, value) or found
        if isinstance(value, list):
            if form.positional and len(value) == len(form.members):
                return self._by_position(form, value)
            return self._only_item(form, value)
        return self._decoded(form, value) or self._implied(form, value) or miss("is no object", form)

    def _by_position(self, form: Record, value: list[Any]) -> Fit | Miss:
        """A named tuple as JSON has it without its names."""
        return self._members(
            form, {member.name: part for member, part in zip(form.members, value, strict=True)}
        )

    def _members(self, form: Record, value: dict[str, Any]) -> Fit | Miss:
        keys, repairs = self._matched(form, value)
        fitted: dict[str, Any] = {}
        problems: list[Problem] = []
        for member in form.members:
            if member.name not in keys:
                self._missing(member, fitted, repairs, problems)
                continue
            found = self.fit(member.form, value[keys[member.name]])
            if isinstance(found, Fit):
                fitted[member.name] = found.value
                if found.repairs:
                    repairs += moved(found.repairs, member.name)
            else:
                problems += problems_below(member.name, found)
        if problems:
            return Miss(tuple(problems))
        return Fit(fitted, tuple(repairs), sum(done.cost for done in repairs))

    def _matched(self, form: Record, value: dict[str, Any]) -> tuple[dict[str, str], list[Repair]]:
        """Field's name → key of the object, and the repairs that this took."""
        keys = {member.name: member.name for member in form.members if member.name in value}
        for member in form.members:
            if member.name not in keys:
                alias = next((alias for alias in member.aliases if alias in value), None)
                if alias is not None:
                    keys[member.name] = alias
        taken = set(keys.values())
        rest = [key for key in value if key not in taken]
        repairs: list[Repair] = []
        if rest:
            spelled = self._guide.spellings(form)
            wanted: dict[str, list[str]] = {}
            for key in rest:
                name = spelled.get(squeezed(key))
                if name is not None and name not in keys:
                    wanted.setdefault(name, []).append(key)
            for name, candidates in wanted.items():
                if len(candidates) == 1:
                    keys[name] = candidates[0]
                    rest.remove(candidates[0])
                    repairs.append(repair("key-spelling", name))
            repairs += [repair("extra-key", key) for key in rest]
        return keys, repairs

    def _missing(
        self, member: Member, fitted: dict[str, Any], repairs: list[Repair], problems: list[Problem]
    ) -> None:
        if member.has_default or not member.required:
            return
        form = self._guide.resolved(member.form)
        if isinstance(form, Null) or (isinstance(form, UnionOf) and Null() in form.options):
            fitted[member.name] = None
            repairs.append(repair("null-for-missing", member.name))
        else:
            problems.append(Problem(member.name, "is missing", member.form))

    def _unwrapped(self, form: Record | ListOf | MapOf, value: dict[str, Any]) -> Fit | None:
        """The answer within an object that only names it: ``{"result": {...}}``."""
        if len(value) > _MOST_WRAPPER_KEYS:
            return None
        inner = [part for part in value.values() if isinstance(part, dict | list) or _is_encoded(part)]
        if len(inner) != 1 or (
            isinstance(form, Record) and isinstance(inner[0], list) and len(inner[0]) != 1
        ):
            return None
        if isinstance(form, Record) and any(key in _names(form) for key in value):
            return None  # it is the record itself, with something wrong
        found = self.fit(form, inner[0])
        return found.after("wrapper") if isinstance(found, Fit) else None

    def _implied(self, form: Record, value: Any) -> Fit | None:
        """The value of the only field that a record must have, written in the record's place."""
        needed = [member for member in form.members if member.required and not member.has_default]
        if len(needed) != 1:
            return None
        if isinstance(value, dict):
            if any(key in _names(form) for key in value):
                return None
        elif not isinstance(value, Bare) or plain_number(value) is None:
            return None  # a text could be anything
        found = self.fit(needed[0].form, value)
        if not isinstance(found, Fit):
            return None
        name = needed[0].name
        done = repair("implied-field")
        return Fit({name: found.value}, (done, *moved(found.repairs, name)), found.cost + done.cost)

    def _decoded(self, form: Form, value: Any) -> Fit | None:
        """JSON that was written as a string."""
        if isinstance(value, Bare) or self._decodings >= _MOST_DECODINGS:
            return None
        text = value.strip()
        self._decodings += 1
        if text.startswith('"') and (inner := unquoted(text)) != text:
            found = self.fit(form, inner)
            return found.after("encoded-json") if isinstance(found, Fit) else None
        if not text.startswith(("{", "[")):
            return None
        try:
            reading = read_notation(text, 0, self._guide.names)
        except NotNotation:
            return None
        if reading.cut or text[reading.end :].strip():
            return None
        found = self.fit(form, reading.value)
        if not isinstance(found, Fit):
            return None
        repairs = (repair("encoded-json"), *reading.repairs, *found.repairs)
        return Fit(found.value, repairs, sum(done.cost for done in repairs))

    # -- collections -------------------------------------------------------------------------------

    def _list(self, form: Form, item: Form, value: Any) -> Fit | Miss:
        if isinstance(value, list):
            found = self._items((item, part) for part in value)
            if isinstance(found, Fit):
                return found
            if len(value) == 1 and isinstance(value[0], list):
                inner = self.fit(form, value[0])
                return inner.after("list-for-one") if isinstance(inner, Fit) else found
            if isinstance(self._guide.resolved(item), ListOf | TupleOf):
                one = self.fit(item, value)
                return self._as_list(one) if isinstance(one, Fit) else found
            return found
        if isinstance(value, dict):
            one = self.fit(item, value)
            if isinstance(one, Fit):
                return self._as_list(one)
            return (self._unwrapped(form, value) if isinstance(form, ListOf) else None) or one
        if leaves.is_null(value):
            return miss("is null", form)
        if (decoded := self._decoded(form, value)) is not None:
            return decoded
        if (several := self._separated(item, value)) is not None:
            return several
        one = self.fit(item, value)
        return self._as_list(one) if isinstance(one, Fit) else one

    def _as_list(self, one: Fit) -> Fit:
        done = repair("one-for-list")
        return Fit([one.value], (done, *moved(one.repairs, "[0]")), one.cost + done.cost)

    def _separated(self, item: Form, text: str) -> Fit | None:
        """``"1, 2, 3"`` for a list of things that hold no commas themselves."""
        plain = isinstance(item, Choice) or (isinstance(item, Scalar) and item.kind != "str")
        if not plain or "," not in text or plain_number(text) is not None:
            return None
        parts: list[Any] = [Bare(part.strip()) for part in text.split(",")]
        if isinstance(item, Choice):
            parts = [str(part) for part in parts]
        found = self._items((item, part) for part in parts)
        return found.after("several-values") if isinstance(found, Fit) else None

    def _items(self, pairs: Iterable[tuple[Form, Any]]) -> Fit | Miss:
        fitted: list[Any] = []
        repairs: list[Repair] = []
        problems: list[Problem] = []
        for index, (form, part) in enumerate(pairs):
            found = self.fit(form, part)
            if isinstance(found, Miss):
                problems += problems_below(f"[{index}]", found)
            elif not problems:
                fitted.append(found.value)
                if found.repairs:
                    repairs += moved(found.repairs, f"[{index}]")
        if problems:
            return Miss(tuple(problems))
        return Fit(fitted, tuple(repairs), sum(done.cost for done in repairs))

    def _tuple(self, form: TupleOf, value: Any) -> Fit | Miss:
        if form.variadic:
            return self._list(ListOf(form.items[0]), form.items[0], value)
        if isinstance(value, str):
            return self._decoded(form, value) or miss("is no list", form)
        if isinstance(value, dict) or len(value) != len(form.items):
            return miss(f"has {len(value)} elements, not {len(form.items)}", form)
        return self._items(zip(form.items, value, strict=True))

    def _map(self, form: MapOf, value: Any) -> Fit | Miss:
        if isinstance(value, str):
            return self._decoded(form, value) or miss("is no object", form)
        kinds: list[Repair] = []
        if isinstance(value, list):
            pairs = _pairs(value)
            if pairs is None:
                return self._only_item(form, value)
            value, kinds = pairs, [repair("pairs-for-map")]
        fitted: dict[str, Any] = {}
        repairs = kinds
        problems: list[Problem] = []
        for key, part in value.items():
            name, found = self.fit(form.key, key), self.fit(form.value, part)
            if isinstance(name, Miss):
                problems.append(Problem(key, "is no possible key", form.key))
            elif isinstance(found, Miss):
                problems += problems_below(key, found)
            else:
                fitted[_key_text(name.value)] = found.value
                if found.repairs:
                    repairs += moved(found.repairs, key)
                if name.repairs and name.repairs[0].kind != "text-to-number":
                    repairs += moved(name.repairs, key)
        if problems:
            only = self._unwrapped(form, value) if len(value) == 1 else None
            return only or Miss(tuple(problems))
        return Fit(fitted, tuple(repairs), sum(done.cost for done in repairs))

    # -- unions ------------------------------------------------------------------------------------

    def _union(self, form: UnionOf, value: Any) -> Fit | Miss:
        found = [self.fit(option, value) for option in form.options]
        fits = [outcome for outcome in found if isinstance(outcome, Fit)]
        if not fits:
            misses = [outcome for outcome in found if isinstance(outcome, Miss)]
            return self._nearest(form, value, misses)
        least = min(fit.cost for fit in fits)
        best = [fit for fit in fits if fit.cost == least]
        if any(not _same(fit.value, best[0].value) for fit in best[1:]):
            return miss("can be read as several of the types", form)
        if Null() in form.options and leaves.says_null(value) and not _is_choice_of(value, form.options):
            return Fit(None).after("text-to-null")  # a text could be "null", but hardly is
        return best[0]

    def _nearest(self, form: UnionOf, value: Any, misses: list[Miss]) -> Miss:
        """The reasons that help most: those of the option that misses by the fewest."""
        records = isinstance(value, dict)
        telling = [
            outcome
            for outcome in misses
            if not records or not any(problem.path == "" or _is_tag(problem) for problem in outcome.problems)
        ]
        if not telling:
            return miss("fits none of the types", form)
        return min(telling, key=lambda outcome: len(outcome.problems))


def unquoted(text: str) -> str:
    """The content of a JSON string; of a text that is none, the text."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text


def _is_encoded(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith(("{", "["))


def _is_choice_of(value: Any, options: tuple[Form, ...]) -> bool:
    return any(isinstance(option, Choice) and value in option.values for option in options)


def _is_tag(problem: Problem) -> bool:
    return isinstance(problem.expected, Choice) and len(problem.expected.values) == 1


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal, fields that are null left out."""
    if isinstance(left, dict) and isinstance(right, dict):
        left = {name: part for name, part in left.items() if part is not None}
        right = {name: part for name, part in right.items() if part is not None}
        return left.keys() == right.keys() and all(_same(part, right[name]) for name, part in left.items())
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _names(form: Record) -> set[str]:
    return {name for member in form.members for name in (member.name, *member.aliases)}


def _pairs(items: list[Any]) -> dict[str, Any] | None:
    """A map that was written as a list of its entries."""
    found: dict[str, Any] = {}
    for item in items:
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
            key, value = item
        elif isinstance(item, dict) and set(item) == {"key", "value"} and isinstance(item["key"], str):
            key, value = item["key"], item["value"]
        else:
            return None
        if key in found:
            return None
        found[key] = value
    return found


def _key_text(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def as_json(value: Any) -> Any:
    """A value as it reads without a type."""
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    if isinstance(value, Bare):
        if leaves.is_null(value):
            return None
        if (number := plain_number(value)) is not None:
            return int(number) if number.lstrip("-").isdecimal() else float(number)
        return {"true": True, "false": False, "True": True, "False": False}.get(value, str(value))
    return value
