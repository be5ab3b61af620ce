"""From a model's text to a validated value, by the first reading that leads there.

1. Strict JSON. 2. The same without thinking and a fence. 3. Every bracketed value in the text, read leniently, held
against the type, the cheapest first. 4. For types that are one plain value: the text itself.

What a reading gives is JSON again, and goes through the same strict validation: that is the guarantee, and no
reading can weaken it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import pydantic_core

from conduit.errors import OutputInvalid, OutputTruncated
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
from conduit.mdl.answer.fits import Fit, Miss, Problem, miss, moved
from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.notation import Bare
from conduit.mdl.answer.numbers import plain_number
from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.answer.thinking import split_thinking
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
from conduit.mdl.partial.incremental import partial_value
from conduit.mdl.text.writer import type_text

T = TypeVar("T")

_SHOWN_ERRORS: Final = 8
_MOST_ERRORS: Final = 50
_MOST_VALIDATIONS: Final = 8
_ESCAPED: Final = re.compile(r'[{\[]\s*\\"')
_TRAILERS: Final = re.compile(r"(?:</?\w{1,40}>|<\|\w{1,40}\|>)\Z")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A value, and what was repaired on the way to it.

    Attributes:
        value: The value; it has passed strict validation.
        repairs: In the order in which they were done.
        reasoning: What the model thought before it answered, in tags or in a field for it.
    """

    value: T
    repairs: tuple[Repair, ...] = ()
    reasoning: str = ""

    @property
    def cost(self) -> int:
        """The price of all repairs; 0 for an answer that was valid as it stood."""
        return sum(done.cost for done in self.repairs)


class Invalid(Exception):
    """A validator's refusal; ``lines`` gives ``path: problem`` when somebody asks. Never leaves this package."""

    def __init__(self, lines: Callable[[], tuple[str, ...]]) -> None:
        super().__init__()
        self.lines = lines


class Target(Protocol):
    """What an answer is read as."""

    label: str

    @property
    def guide(self) -> Guide:
        """The form of the answer."""
        ...

    def validate(self, text: str | bytes) -> Any:
        """The value of a JSON text.

        Raises:
            Invalid: It is no JSON, or not of the type.
        """
        ...


def read_answer(target: Target, text: str, *, strict: bool, truncated: bool) -> Parsed[Any]:
    """Reads an answer; ``parse`` says how.

    Raises:
        OutputTruncated: ``truncated`` is set.
        OutputInvalid: No reading leads to a value.
    """
    if truncated:
        raise _truncated(target, text)
    try:
        return _with_nulls(target, text, Parsed(target.validate(text)), strict)
    except Invalid as error:
        refused = error
    thinking, answer = split_thinking(text)
    body = answer.strip()
    around: tuple[Repair, ...] = (repair("thinking"),) if thinking or answer != text else ()
    if answer.strip(" \t\n\r") != body:
        around = (*around, repair("white-space"))
    for inner, repairs in ((body, around), (unfenced(body), (*around, repair("fence")))):
        if inner is not None and inner != text:
            try:
                return _with_nulls(target, inner, Parsed(target.validate(inner), repairs, thinking), strict)
            except Invalid as error:
                refused = error
    if strict:
        raise _invalid(target, text, refused.lines())
    if not body:
        raise _invalid(target, text, (f"answer: is empty (expected {_shown(target.guide.document.root)})",))
    refused_as = None
    if (said := _without_trailers(answer)) != answer:
        around = (*around, repair("prose"))
    for rewritten, kind in _rewritings(said):
        try:
            value, repairs = _Readings(target, rewritten).best(text)
        except OutputInvalid as error:
            refused_as = refused_as or error
        else:
            return Parsed(value, (*around, *([repair(kind)] if kind else ()), *repairs), thinking)
    assert refused_as is not None
    raise refused_as


def _rewritings(answer: str) -> Iterator[tuple[str, str]]:
    """The answer as it is, then with an encoding undone that covers all of it."""
    yield answer, ""
    if (escaped := _ESCAPED.search(answer)) is not None:
        end = max(answer.rfind("}"), answer.rfind("]")) + 1
        yield unquoted(f'"{answer[escaped.start() : end]}"'), "encoded-json"
    if "&quot;" in answer:
        yield html.unescape(answer), "encoded-json"


def _without_trailers(answer: str) -> str:
    """The answer without the tags and tokens at its end."""
    end = len(answer.rstrip())
    while (found := _TRAILERS.search(answer, max(0, end - 50), end)) is not None:
        end = len(answer[: found.start()].rstrip())
    return answer[:end] if end < len(answer.rstrip()) else answer


def says_null(text: str) -> bool:
    """Whether a text may hold the word null as a string, for a place that could be null."""
    return '"null"' in text or '"None"' in text


def _with_nulls(target: Target, text: str, parsed: Parsed[Any], strict: bool) -> Parsed[Any]:
    """The same value with null where a text says so and null is possible."""
    if strict or not says_null(text):
        return parsed
    fit = _Readings(target, text).whole()
    if fit is None or any(done.kind != "text-to-null" for done in fit.repairs):
        return parsed
    value = target.validate(_json(fit.value))
    return Parsed(value, (*parsed.repairs, *fit.repairs), parsed.reasoning)


@dataclass(frozen=True, slots=True)
class _Valid:
    """A value that has passed its validation."""

    value: Any


class _Readings:
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
                return self._target.validate(_json(fit.value)), fit.repairs
            except Invalid as error:
                lines = lines or error.lines()
        raise _invalid(self._target, raw, lines or self._reasons())

    def whole(self) -> Fit | None:
        """The reading of the answer as one value in brackets, if it is that."""
        first = next(iter(candidates(self._answer, self._names)), None)
        return self._held(first) if first is not None and first.whole else None

    def _reasons(self) -> tuple[str, ...]:
        if self._cut:
            return ("answer: ends in the middle of a value",)
        if not self._misses:
            return (f"answer: holds no value (expected {_shown(self._guide.document.root)})",)
        nearest = min(self._misses, key=lambda found: len(found.problems))
        return tuple(_line(problem) for problem in nearest.problems[:_MOST_ERRORS])

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
            text = _json(as_json(candidate.reading.value))
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
        if len({_json(fit.value) for fit in cheapest}) > 1:
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
        one = self._plain_fit(item, body, body)
        return one if isinstance(one, Miss) else _joined([Fit([one.value], one.repairs, one.cost)])


def _json(value: Any) -> bytes:
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


def _line(problem: Problem) -> str:
    return f"{problem.path or 'answer'}: {problem.text} (expected {_shown(problem.expected)})"


def _shown(form: Form) -> str:
    text = type_text(form)
    return text if len(text) <= 120 else text[:117] + "..."


def _invalid(target: Target, raw: str, lines: tuple[str, ...]) -> OutputInvalid:
    shown = "; ".join(lines[:_SHOWN_ERRORS])
    return OutputInvalid(
        f"The answer is not a valid {target.label}: {shown}.",
        hint="The error's `raw` holds the model's text.",
        raw=raw,
        errors=lines,
    )


def _truncated(target: Target, raw: str) -> OutputTruncated:
    return OutputTruncated(
        f"The answer was cut at the token limit after {len(raw)} characters, so it is not a whole value.",
        hint="Raise max_tokens or max_model_len, or bound the type: `Annotated[str, Field(max_length=200)]`.",
        raw=raw,
        partial=partial_value(raw, target.guide.document),
    )
