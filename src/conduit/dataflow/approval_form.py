"""What a person is asked for, as a form: from a type to its fields, and from what was filled in to a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from conduit.errors import ApprovalUnavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Form(Generic[T]):
    """What is asked for.

    Attributes:
        name: Of the type.
        schema: JSON Schema of an object, whose properties are the form's fields.
        wrapped: The value is no object, and stands in the field ``value``.
    """

    name: str
    schema: dict[str, Any]
    wrapped: bool
    _adapter: TypeAdapter[T] = field(repr=False)

    @classmethod
    def of(cls, type_: Any) -> Form[Any]:
        """The form that asks for a value of a type.

        Raises:
            ApprovalUnavailable: JSON cannot hold such values, or pydantic does not know the type.
        """
        name = getattr(type_, "__name__", None) or str(type_)
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(type_)
            schema = adapter.json_schema(ref_template="#/definitions/{model}")
        except (PydanticUserError, pydantic_core.SchemaError, TypeError) as error:
            raise ApprovalUnavailable(
                f"There is no form for {name}: {str(error).splitlines()[0]}",
                hint="Ask for a dataclass, a pydantic model, a TypedDict, a Literal or a plain value.",
            ) from error
        named = schema.pop("$defs", {})
        wrapped = schema.get("type") != "object" or "properties" not in schema
        if wrapped:
            schema = {"properties": {"value": {"title": "Value", **schema}}, "required": ["value"]}
        schema = {"title": name, "type": "object", **schema, "additionalProperties": False}
        return cls(name, schema | ({"definitions": named} if named else {}), wrapped, adapter)

    def read(self, answer: Any) -> T:
        """The value that was filled in.

        Raises:
            ValidationError: It does not fit.
        """
        data = (answer or {}).get("value") if self.wrapped else answer or {}
        return self._adapter.validate_json(pydantic_core.to_json(data))

    def check(self, value: Any) -> T:
        """A value that code gives in a person's place.

        Raises:
            ValidationError: It does not fit.
        """
        return self._adapter.validate_python(value)


def told(error: ValidationError) -> str:
    """What is wrong, by field."""
    lines = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, line['loc'])) or 'value'}: {line['msg']}" for line in lines)
