"""From the bytes of a body to a checked request: strict types, no unknown field, every fault named by its path.

A field that this server does not carry out is refused by name unless its value asks for nothing; none is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from gpu_server import errors

MAX_SHOWN_CHARS = 200
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})

NOT_TOGETHER = "not_together"


def not_together(param: str, why: str) -> PydanticCustomError:
    """Fields that are right each, but not with one another; for validators of a whole model."""
    return PydanticCustomError(NOT_TOGETHER, "{why}", {"param": param, "why": why})


def _refuse_true(value: bool) -> bool:
    if value:
        raise ValueError("only false is taken")
    return value


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_integral)
"""For an integer as JSON Schema has it: 5.0 is one."""
OnlyFalse = Annotated[bool, AfterValidator(_refuse_true), Field(json_schema_extra={"const": False})]
EmptyObject = Annotated[dict[str, Any], Field(max_length=0)]
EmptyList = Annotated[list[Any], Field(max_length=0)]


class Strict(BaseModel):
    """A part of a request: no coercion, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RequestBody(BaseModel):
    """A whole body. Fields that it does not know may be there as null: null asks for nothing."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    __pydantic_extra__: dict[str, None] = Field(init=False)

    only_harmless: ClassVar[frozenset[str]] = frozenset()
    """Fields that are taken only with a value that asks for nothing."""


Body = TypeVar("Body", bound=RequestBody)


def read(body: bytes, form: type[Body]) -> Body:
    """Read a request body.

    Raises:
        ApiError: 400, naming the parameter and what is wrong with it.
    """
    try:
        request = form.model_validate_json(body)
    except ValidationError as error:
        _refuse(error, form)
    _check_keys(body)
    return request


def _refuse(error: ValidationError, form: type[RequestBody]) -> NoReturn:
    # Of a union's branches, the one that came furthest is the one that was meant.
    faults = error.errors(include_url=False, include_input=False)
    fault = max(faults, key=lambda each: (len(each["loc"]), not each["type"].endswith("_type")))
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    if kind == "json_invalid":
        raise errors.bad_request(f"The body is not valid JSON: {message}.", code="invalid_json") from None
    first = str(fault["loc"][0])[:100] if fault["loc"] else ""
    if kind == "none_required" and first not in form.model_fields:
        raise errors.unsupported(first, "this server does not have this parameter.") from None
    if first in form.only_harmless:
        raise errors.unsupported(first, f"this server does not carry it out ({message}).") from None
    if kind == NOT_TOGETHER:
        param = fault["ctx"]["param"]
        raise errors.bad_request(f"{param}: {message}.", param=param) from None
    param = _parameter(fault["loc"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        param += f".{fault['ctx']['discriminator'].strip(chr(39))}"
    raise errors.bad_request(f"{param or 'body'}: {message[:1000]}.", param=param or None) from None


def _parameter(location: Sequence[int | str]) -> str:
    """Write `messages[0].content`. The names that pydantic gives to the branches of a union are left out."""
    path = ""
    before: int | str = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not (isinstance(before, int) and part in _ROLES) and _is_field(part, before):
            path += f".{part}" if path else part
        before = part
    return path[:MAX_SHOWN_CHARS]


def _is_field(part: str, before: int | str) -> bool:
    # A union's branch is named by its class, its type (`str`, `list[…]`) or its tag; that may repeat a field's.
    branch = part in _BRANCHES or part[:1].isupper() or any(mark in part for mark in "[(-")
    return not branch and part != before


_BRANCHES = frozenset(
    {"str", "constrained-str", "literal", "text", "json_object", "dict", "none", "bool", "int"}
)


def _check_keys(body: bytes) -> None:
    """Refuse what parsers read in different ways: keys given twice, numbers that are none."""
    try:
        json.loads(body, object_pairs_hook=_pairs, parse_constant=_no_number)
    except ValueError as error:
        raise errors.bad_request(f"The body is not valid JSON: {error}.", code="invalid_json") from None


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice in one object")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
