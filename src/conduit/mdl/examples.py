"""Few-shot examples: validated when a prompt is compiled, then a line of JSON each for input and output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic_core
from pydantic import ValidationError

from conduit.errors import ExampleInvalid
from conduit.mdl.answer.by_type import target_of
from conduit.mdl.form import Document, Form, ListOf, MapOf, Record, Ref, TupleOf, UnionOf
from conduit.mdl.reasoning import ANSWER, FIELD, with_reasoning
from conduit.mdl.text.words import json_text

Example = tuple[Any, Any] | tuple[Any, Any, str]
"""Inputs and output, and where the model is to reason first also the reasoning."""


@dataclass(frozen=True)
class ExampleTypes:
    """What examples are validated against.

    Attributes:
        inputs: The types of a function's arguments by name, or the one input type; ``None`` without input.
        needed: The arguments without a default.
        output: The type of the answer.
        input_form: The form of the input.
        output_form: The form of the answer.
        reasoning: Whether the model is to reason first.
    """

    inputs: Any
    needed: frozenset[str]
    output: Any
    input_form: Document | None
    output_form: Document
    reasoning: bool


def example_lines(examples: Sequence[Example], types: ExampleTypes) -> tuple[str, ...]:
    """The lines ``INPUT {...}`` and ``OUTPUT {...}`` of all examples.

    Raises:
        UnsupportedType: Pydantic cannot validate one of the types.
        ExampleInvalid: One does not fit the types; its ``number`` counts from 1.
    """
    return tuple(
        line for number, example in enumerate(examples, 1) for line in _lines(number, example, types)
    )


def _lines(number: int, example: Example, types: ExampleTypes) -> list[str]:
    wanted = 3 if types.reasoning else 2
    if not isinstance(example, tuple | list) or len(example) != wanted:
        parts = "(inputs, output, reasoning)" if types.reasoning else "(inputs, output)"
        raise _invalid(number, "example", f"is no tuple of {wanted}", f"write it as {parts}")
    lines = []
    if types.input_form is not None:
        lines.append("INPUT " + _input(number, example[0], types, types.input_form))
    elif example[0]:
        raise _invalid(number, "inputs", "are given, but there is no input", "write `None` in their place")
    value = _data(number, "output", example[1], types.output, types.output_form)
    if types.reasoning:
        value = _reasoned(example[-1], value, types.output_form)
    return [*lines, "OUTPUT " + _compact(value)]


def _input(number: int, inputs: Any, types: ExampleTypes, form: Document) -> str:
    if not isinstance(types.inputs, Mapping):
        return _compact(_data(number, "inputs", inputs, types.inputs, form))
    if not isinstance(inputs, Mapping):
        raise _invalid(number, "inputs", "are no mapping", "write the arguments as a dict, by name")
    if odd := [*(types.needed - inputs.keys()), *(inputs.keys() - types.inputs.keys())]:
        names = ", ".join(sorted(map(str, odd)))
        raise _invalid(number, "inputs", f"do not fit the parameters: {names}", "name each parameter once")
    values = {
        name: _data(number, f"inputs.{name}", inputs[name], hint, _part(form, name))
        for name, hint in types.inputs.items()
        if name in inputs
    }
    return _compact(values)


def _part(form: Document, name: str) -> Document:
    assert isinstance(form.root, Record)
    inner = next(member.form for member in form.root.members if member.name == name)
    return Document(inner, form.definitions)


def _data(number: int, place: str, value: Any, type_: Any, form: Document) -> Any:
    """The value as JSON data, of the type's fields alone and equal in every process."""
    adapter = target_of(type_).validator
    try:
        data = adapter.dump_python(adapter.validate_python(value), mode="json", by_alias=True)
        shaped = _Shape(form).of(data, form.root)
        adapter.validate_json(_compact(shaped), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([place, *map(str, first["loc"])])
        raise _invalid(number, where, first["msg"], "correct the example") from error
    except (pydantic_core.PydanticSerializationError, ValueError) as error:
        raise _invalid(
            number, place, f"cannot be written as JSON ({error})", "correct the example"
        ) from error
    return shaped


def _reasoned(reasoning: str, value: Any, form: Document) -> dict[str, Any]:
    asked = with_reasoning(form).root
    assert isinstance(asked, Record)
    if [member.name for member in asked.members] == [FIELD, ANSWER] and asked.members[1].form is form.root:
        return {FIELD: str(reasoning), ANSWER: value}
    return {FIELD: str(reasoning), **value}


class _Shape:
    """Brings dumped data to what its form says: no computed fields, sets in one order."""

    def __init__(self, document: Document) -> None:
        self._definitions = dict(document.definitions)

    def of(self, data: Any, form: Form) -> Any:
        match form:
            case Ref(name=name):
                return self.of(data, self._definitions[name])
            case ListOf(item=item, limits=limits) if isinstance(data, list):
                items = [self.of(part, item) for part in data]
                return sorted(items, key=json_text) if limits.unique else items
            case TupleOf(items=items, variadic=variadic) if isinstance(data, list):
                return [self.of(part, items[0 if variadic else i]) for i, part in enumerate(data)]
            case MapOf(value=value) if isinstance(data, dict):
                return {key: self.of(part, value) for key, part in data.items()}
            case Record(members=members) if isinstance(data, dict):
                return {m.name: self.of(data[m.name], m.form) for m in members if m.name in data}
            case UnionOf(options=options):
                return self.of(data, max(options, key=self._likeness(data)))
        return data

    def _likeness(self, data: Any) -> Callable[[Form], int]:
        def score(form: Form) -> int:
            form = self._definitions[form.name] if isinstance(form, Ref) else form
            match form:
                case Record(members=members) if isinstance(data, dict):
                    names = {member.name for member in members}
                    return (
                        1 + len(names & data.keys()) - sum(m.required and m.name not in data for m in members)
                    )
                case MapOf() if isinstance(data, dict):
                    return 1
                case ListOf() | TupleOf() if isinstance(data, list):
                    return 1
            return 0

        return score


def _compact(value: Any) -> str:
    return pydantic_core.to_json(value, inf_nan_mode="constants").decode()


def _invalid(number: int, place: str, problem: str, remedy: str) -> ExampleInvalid:
    return ExampleInvalid(
        f"Example {number}, {place}: {problem}.", hint=remedy[0].upper() + remedy[1:] + ".", number=number
    )
