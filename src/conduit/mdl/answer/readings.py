"""The lenient readings of one answer: which there are, and which is the cheapest that is valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from conduit.mdl.answer import leaves
from conduit.mdl.answer.candidates import (
    BULLET,
    Candidate,
    candidates,
    key_lines,
    starts_unbraced,
    unbraced,
    unfenced,
)
from conduit.mdl.answer.coerce import Coercer, as_json, unquoted
from conduit.mdl.answer.failures import invalid, line, shown
from conduit.mdl.answer.fits import Fit, Miss, miss, moved
from conduit.mdl.answer.notation import Bare
from conduit.mdl.answer.numbers import plain_number
from conduit.mdl.answer.parsed import Invalid, Target
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.form import (
    Anything,
    Choice,
    Form,
    ListOf,
    MapOf,
    Null,
    Record,
    Ref,
    Scalar,
    TupleOf,
    UnionOf,
)

_MOST_ERRORS: Final = 50
_MOST_VALIDATIONS: Final = 8


def says_null(text: str) -> bool:
    """Whether a text may hold the word null as a string, for a place that could be null."""
    return '"null"' in text or '"None"' in text


@dataclass(frozen=True, slots=True)
class _Valid:
    """A value that has passed its validation."""

    value: Any


class Readings:
    """The lenient readings of one answer."""

    def __init__(self, target: Target, answer: str) -> None:
        self._target, self._answer = target, answer
        self._guide = target.guide
        self._names, self._root = self._guide.names, self._guide.root
        self._coercer = Coercer(self._guide)
        self._misses: list[Miss] = []
        self._cut = False

    def best(self, raw: str) -> tuple[Any, tuple[Repair, ...]]:
        """The value of the cheapest reading that is valid, and its repairs."""
        lines: tuple[str, ...] = ()
        ranked = sorted(self._fits(), key=lambda pair: pair[0])
        for _, fit in ranked[:_MOST_VALIDATIONS]:
            if isinstance(fit.value, _Valid):
                return fit.value.value, fit.repairs
            try:
                return self._target.validate(json_bytes(fit.value)), fit.repairs
            except Invalid as error:
                lines = lines or error.lines()
        raise invalid(self._target, raw, lines or self._reasons())

    def whole(self) -> Fit | None:
        """The reading of the answer as one value in brackets, if it is that."""
        first = next(iter(candidates(self._answer, self._names)), None)
        return self._held(first) if first is not None and first.whole else None

    def _reasons(self) -> tuple[str, ...]:
        if self._cut:
            return ("answer: ends in the middle of a value",)
        if not self._misses:
            return (f"answer: holds no value (expected {shown(self._guide.document.root)})",)
        nearest = min(self._misses, key=lambda found: len(found.problems))
        return tuple(line(problem) for problem in nearest.problems[:_MOST_ERRORS])

    def _fits(self) -> list[tuple[tuple[int, int], Fit]]:
        """The readings that fit, with their price and rank."""
        options = [self._guide.resolved(form) for form in _options(self._root)]
        free_text = any(isinstance(form, Scalar) and form.kind == "str" for form in options)
        found: list[tuple[tuple[int, int], Fit]] = []
        if isinstance(self._root, Record) and starts_unbraced(self._answer, self._names):
            found = self._without_braces()
        elif any(not isinstance(form, Scalar) or form.kind != "str" for form in options):
            found = list(self._bracketed(whole_only=free_text))
        if not found and isinstance(self._root, Record | MapOf):
            found = self._without_braces()
        if not found:
            found = self._plain(options)
        return found

    def _bracketed(self, *, whole_only: bool) -> Iterator[tuple[tuple[int, int], Fit]]:
        lists: list[tuple[tuple[int, int], Fit]] = []
        singles: list[tuple[tuple[int, int], Fit]] = []
        either: list[Fit] = []
        for candidate in candidates(self._answer, self._names):
            if candidate.reading.cut:
                self._cut = True
                continue
            if whole_only and not candidate.whole:
                continue
            fit = self._held(candidate)
            if fit is None:
                continue
            self._cut = False
            if candidate.either:
                either.append(fit)
            if candidate.reading.open_ended:
                lists.append(((fit.cost, candidate.rank), fit))
                break  # what follows would be a part of it
            single = isinstance(self._root, ListOf) and any(
                done.kind == "one-for-list" for done in fit.repairs
            )
            (singles if single else lists).append(((fit.cost, candidate.rank), fit))
        if either and any(fit.value != either[-1].value for _, fit in (*lists, *singles)):
            self._misses = [miss("is given in several versions", self._root)]
        elif len(singles) > 1 and not lists:
            yield (0, 0), _joined([fit for _, fit in singles])
        else:
            yield from lists or singles

    def _held(self, candidate: Candidate) -> Fit | None:
        if (valid := self._as_it_stands(candidate)) is not None:
            return valid
        value = candidate.reading.value
        fit = self._coercer.fit(self._root, value)
        if isinstance(self._root, Scalar | Choice) and isinstance(value, dict) and len(value) == 1:
            fit = self._coercer.fit(self._root, next(iter(value.values())))
            fit = fit.after("wrapper") if isinstance(fit, Fit) else fit
        if isinstance(fit, Miss):
            self._misses.append(fit)
            return None
        if candidate.reading.open_ended and self._misplaced(fit):
            self._misses.append(
                miss("has a bracket missing, so that fields stand in the wrong place", self._root)
            )
            return None
        return Fit(fit.value, (*candidate.repairs, *fit.repairs), candidate.cost + fit.cost)

    def _misplaced(self, fit: Fit) -> bool:
        """Whether a field stands where none of that name should be."""
        extra = (done.path.rpartition(".")[2] for done in fit.repairs if done.kind == "extra-key")
        return any(self._names.known(key) for key in extra)

    def _as_it_stands(self, candidate: Candidate) -> Fit | None:
        """The candidate as a value, when its notation was all that was wrong."""
        text: str | bytes = self._answer[candidate.start : candidate.reading.end]
        if says_null(self._answer):
            return None
        if candidate.reading.repairs:
            text = json_bytes(as_json(candidate.reading.value))
        try:
            return Fit(_Valid(self._target.validate(text)), candidate.repairs, candidate.cost)
        except Invalid:
            return None

    def _without_braces(self) -> list[tuple[tuple[int, int], Fit]]:
        inside = unfenced(self._answer)
        if isinstance(self._root, Record):
            candidate = unbraced(inside or self._answer, self._names)
        else:  # keys of any name are told from prose by a fence
            candidate = None if inside is None else key_lines(inside, self._names, self._names.possible)
        if candidate is None or candidate.reading.cut:
            return []
        fit = self._held(candidate)
        return [] if fit is None else [((fit.cost, 0), fit)]

    def _plain(self, options: list[Form]) -> list[tuple[tuple[int, int], Fit]]:
        """The text itself as the value."""
        nearer = bool(self._misses)
        body = (unfenced(self._answer) or self._answer).strip()
        said = unquoted(body)
        fits = []
        for form in options:
            fit = self._plain_fit(form, body, said)
            if isinstance(fit, Fit):
                fits.append(((fit.cost, 0), fit))
            elif not nearer:
                self._misses.append(fit)
        least = min((price for price, _ in fits), default=None)
        cheapest = [fit for price, fit in fits if price == least]
        if len({json_bytes(fit.value) for fit in cheapest}) > 1:
            self._misses.append(miss("can be read as several of the types", self._root))
            return []
        return fits

    def _plain_fit(self, form: Form, body: str, said: str) -> Fit | Miss:
        match form:
            case Scalar(kind="str"):
                return Fit(self._answer if said == body else said).after("raw-text")
            case Scalar() | Choice():
                found = leaves.said(form, said)
                return found if isinstance(found, Miss) or found.repairs else found.after("raw-text")
            case Null():
                return leaves.null(body) or miss("is not null", form)
            case ListOf(item=item):
                return self._plain_list(form, self._guide.resolved(item), body)
            case Record() if (number := plain_number(body)) is not None:
                return self._coercer.fit(form, Bare(number))
            case MapOf() | Record() | TupleOf() | Anything() | UnionOf() | Ref():
                if body.startswith('"'):
                    return self._coercer.fit(form, unquoted(body))
                return miss("holds no value", form)

    def _plain_list(self, form: ListOf, item: Form, body: str) -> Fit | Miss:
        lines = [line for line in body.splitlines() if line.strip()]
        bullets = [found[1].strip() for line in lines if (found := BULLET.fullmatch(line)) is not None]
        if bullets and len(bullets) == len(lines):
            parts = [str(text) if isinstance(item, Choice) else Bare(text) for text in bullets]
            fit = self._coercer.fit(form, parts)
            return fit.after("several-values") if isinstance(fit, Fit) else fit
        if body.startswith('"') and unquoted(body) != body:
            return self._coercer.fit(form, unquoted(body))
        if isinstance(item, Scalar) and item.kind == "str":
            return miss("is no list", form)
        separated = self._coercer.fit(form, Bare(body))
        if isinstance(separated, Fit):
            return separated
        if not isinstance(item, Scalar | Choice):
            return miss("is no list", form)
        one = self._plain_fit(item, body, body)
        return one if isinstance(one, Miss) else _joined([Fit([one.value], one.repairs, one.cost)])


def json_bytes(value: Any) -> bytes:
    """A JSON value as text."""
    try:
        return pydantic_core.to_json(value)
    except pydantic_core.PydanticSerializationError:
        return json.dumps(value).encode()  # half a surrogate pair, which validation refuses


def _joined(parts: list[Fit]) -> Fit:
    """Lists of one each as one list."""
    done = repair("several-values" if len(parts) > 1 else "one-for-list")
    repairs = [step for i, part in enumerate(parts) for step in moved(part.repairs, f"[{i}]")]
    values = [value for part in parts for value in part.value]
    return Fit(values, (done, *repairs), done.cost + sum(part.cost for part in parts))


def _options(form: Form) -> tuple[Form, ...]:
    return form.options if isinstance(form, UnionOf) else (form,)
