"""From a model's text to a validated value. Strict: the text must be JSON of the type, nothing is guessed.

Validation is pydantic's, in strict JSON mode, and is the guarantee: a value that leaves here fits its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from conduit.errors import OutputInvalid, OutputTruncated

T = TypeVar("T")

_SHOWN_ERRORS = 8


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """A value, and what was repaired on the way to it."""

    value: T
    repairs: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def adapter(type_: Any) -> TypeAdapter[Any]:
    """The validator of a type, built once."""
    return TypeAdapter(type_)


def parse(text: str, type_: type[T], *, truncated: bool = False) -> Parsed[T]:
    """Parses an answer.

    Args:
        text: What the model wrote.
        type_: What it should be.
        truncated: The token limit cut the answer; it is then never a value, even if it looks like one.

    Raises:
        OutputTruncated: ``truncated`` is set.
        OutputInvalid: The text is no JSON or no value of the type; ``errors`` are lines by path.
    """
    if truncated:
        raise OutputTruncated(
            f"The answer was cut at the token limit after {len(text)} characters, so it is not a whole value.",
            hint="Raise max_tokens or max_model_len, or bound the type: `Annotated[str, Field(max_length=200)]`.",
            raw=text,
        )
    try:
        validator: TypeAdapter[T] = adapter(cast("Any", type_))
        return Parsed(validator.validate_json(text, strict=True))
    except ValidationError as error:
        lines = error_lines(error)
        shown = "; ".join(lines[:_SHOWN_ERRORS])
        raise OutputInvalid(
            f"The answer is not a valid {getattr(type_, '__name__', type_)}: {shown}.",
            hint="The error's `raw` holds the model's text.",
            raw=text,
            errors=tuple(lines),
        ) from error


def error_lines(error: ValidationError) -> list[str]:
    """Pydantic's errors as ``path: problem`` lines, without the values."""
    return [
        f"{'.'.join(str(part) for part in item['loc']) or 'answer'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
