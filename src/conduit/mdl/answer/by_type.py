"""Reading an answer as a Python type: pydantic validates, the type's form guides repairs."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.ladder import Invalid, Parsed, read_answer, says_null
from conduit.mdl.read import read

T = TypeVar("T")

_MOST_ERRORS: Final = 50
_MOST_KEPT: Final = 1024


class TypeTarget(Generic[T]):
    """A type that answers are read as; made once for each."""

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.label = getattr(type_, "__name__", None) or str(type_)
        self.validator: TypeAdapter[T] = TypeAdapter(type_)

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


_kept: dict[int, TypeTarget[Any]] = {}  # by the type's identity: equal unions may differ in order


def target_of(type_: type[T]) -> TypeTarget[T]:
    """The target of a type, made at its first use and kept."""
    found = _kept.get(id(type_))
    if found is None or found.type is not type_:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        found = _kept[id(type_)] = TypeTarget(type_)
    return found


def parse(text: str, type_: type[T], *, strict: bool = False, truncated: bool = False) -> Parsed[T]:
    """Reads a model's answer as a value of a type.

    Strict JSON is tried first and costs what pydantic costs. Then come readings with repairs, each recorded and
    priced in ``repairs``; docs/mdl.md lists them. Every value has passed pydantic's strict validation.

    Args:
        text: What the model wrote.
        type_: What it should be.
        strict: Takes JSON of the type only, within a fence or after thinking too, and repairs nothing.
        truncated: The token limit cut the answer; it is then never a value, even if it looks like one.

    Raises:
        OutputTruncated: ``truncated`` is set; ``partial`` holds what was readable.
        OutputInvalid: No reading leads to a value, or several do; ``errors`` are lines by path.
        UnsupportedType: The answer is not valid as it stands, and MDL cannot express the type.
    """
    target = target_of(type_)
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
