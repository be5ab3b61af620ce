"""Reading an answer as a Python type: pydantic validates, the type's form guides repairs."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final, Generic, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import SchemaError

from conduit.errors import UnsupportedType
from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.ladder import read_answer
from conduit.mdl.answer.parsed import Invalid, Parsed
from conduit.mdl.answer.readings import says_null
from conduit.mdl.form import Record
from conduit.mdl.kept import Kept
from conduit.mdl.python.read import read
from conduit.mdl.reasoning import unwrap, with_reasoning

T = TypeVar("T")

_MOST_ERRORS: Final = 50


class TypeTarget(Generic[T]):
    """A type that answers are read as; made once for each."""

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.label = getattr(type_, "__name__", None) or str(type_)
        try:
            self.validator: TypeAdapter[T] = TypeAdapter(type_)
        except (SchemaError, PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise UnsupportedType(
                f"pydantic cannot validate {self.label}: {str(error).splitlines()[0]}",
                hint="Mend the type; the cause says more.",
            ) from error

    @cached_property
    def guide(self) -> Guide:
        """The type's form; read when an answer is not valid as it stands."""
        return Guide(read(self.type))

    def validate(self, text: str | bytes) -> T:
        """The value of a JSON text, in pydantic's strict mode."""
        try:
            return self.validator.validate_json(text, strict=True)
        except ValidationError as error:
            raise Invalid(partial(error_lines, error)) from error


_targets: Final = Kept[Any, TypeTarget[Any]](TypeTarget)


def target_of(type_: type[T]) -> TypeTarget[T]:
    """The target of a type, made at its first use and kept."""
    return _targets(type_)


class ReasonedTarget(Generic[T]):
    """The same type behind a field for reasoning; its values are pairs of reasoning and value."""

    def __init__(self, target: TypeTarget[T]) -> None:
        self._target = target
        self.label = target.label

    @cached_property
    def guide(self) -> Guide:
        """The form with the field, which an answer may leave out."""
        document = with_reasoning(self._target.guide.document)
        assert isinstance(document.root, Record)
        first, *others = document.root.members
        members = (replace(first, required=False), *others)
        return Guide(replace(document, root=replace(document.root, members=members)))

    def validate(self, text: str | bytes) -> tuple[str, T]:
        """The reasoning, and the value of a JSON text."""
        try:
            whole = pydantic_core.from_json(text)
        except ValueError as error:
            raise Invalid(lambda: ("answer: is no JSON",)) from error
        reasoning, value = unwrap(whole, self._target.guide.document)
        return reasoning, self._target.validate(pydantic_core.to_json(value))


def parse(
    text: str, type_: type[T], *, strict: bool = False, truncated: bool = False, reasoning: bool = False
) -> Parsed[T]:
    """Reads a model's answer as a value of a type.

    Strict JSON is tried first and costs what pydantic costs. Then come readings with repairs, each recorded and
    priced in ``repairs``; docs/mdl.md lists them. Every value has passed pydantic's strict validation.

    Args:
        text: What the model wrote.
        type_: What it should be.
        strict: Takes JSON of the type only, within a fence or after thinking too, and repairs nothing.
        truncated: The token limit cut the answer; it is then never a value, even if it looks like one.
        reasoning: The answer may have a field for reasoning before the value; see ``prompt``.

    Raises:
        OutputTruncated: ``truncated`` is set; ``partial`` holds what was readable.
        OutputInvalid: No reading leads to a value, or several do; ``errors`` are lines by path.
        UnsupportedType: The answer is not valid as it stands, and MDL cannot express the type.
    """
    target = target_of(type_)
    if reasoning:
        parsed = read_answer(ReasonedTarget(target), text, strict=strict, truncated=truncated)
        thought, value = parsed.value
        return Parsed(value, parsed.repairs, "\n".join(part for part in (parsed.reasoning, thought) if part))
    if not truncated and not says_null(text):
        try:
            return Parsed(target.validator.validate_json(text, strict=True))
        except ValidationError:
            pass
    return read_answer(target, text, strict=strict, truncated=truncated)


def error_lines(error: ValidationError) -> tuple[str, ...]:
    """Pydantic's errors as ``path: problem`` lines, without the values."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return tuple(f"{_path(item['loc'])}: {item['msg']}" for item in details[:_MOST_ERRORS])


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "answer"
