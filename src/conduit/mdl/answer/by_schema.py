"""Reading an answer as a bare JSON Schema describes it.

The schema's form gives a fast validator; where the schema says more than a form can, ``jsonschema`` has the last
word.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any, Final

from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError, core_schema

from conduit.mdl.answer import leaves
from conduit.mdl.answer.by_type import error_lines
from conduit.mdl.answer.guide import Guide
from conduit.mdl.answer.ladder import read_answer
from conduit.mdl.answer.parsed import Invalid, Parsed
from conduit.mdl.form import (
    Anything,
    Choice,
    Document,
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
from conduit.mdl.from_schema import read_schema
from conduit.mdl.lowering.base import unsupported
from conduit.mdl.lowering.llguidance import RULES
from conduit.mdl.lowering.references import References

_MOST_ERRORS: Final = 50


def parse_schema(
    text: str, json_schema: dict[str, Any], *, strict: bool = False, truncated: bool = False
) -> Parsed[Any]:
    """Reads a model's answer as plain JSON data of a JSON Schema; see ``parse``.

    Properties that the schema does not name are left out unless it says ``additionalProperties``. ``x-alias`` of a
    property is another name that an answer may use for it, ``x-enum-alias`` maps values of an enum to other texts.

    Args:
        text: What the model wrote.
        json_schema: A schema of draft 2020-12, or an older one as far as it says the same.
        strict: Repairs nothing.
        truncated: The token limit cut the answer.

    Raises:
        OutputTruncated: ``truncated`` is set.
        OutputInvalid: No reading leads to a value, or several do.
        SchemaUnsupported: The schema cannot be used.
    """
    return read_answer(_target(json_schema), text, strict=strict, truncated=truncated)


class SchemaTarget:
    """A schema that answers are read as; made once for each."""

    label = "answer by its JSON Schema"

    def __init__(self, schema: dict[str, Any]) -> None:
        found = read_schema(schema)
        self.guide = Guide(found.document)
        self._schema, self._exact = schema, found.exact
        self._validator = _core_validator(found.document)

    def validate(self, text: str | bytes) -> Any:
        """The plain data of a JSON text."""
        try:
            value = self._validator.validate_json(text)
        except ValidationError as error:
            raise Invalid(partial(error_lines, error)) from error
        if not self._exact:
            self._check(value)
        return value

    @cached_property
    def _whole(self) -> Any:
        import jsonschema  # few schemas need it, and it takes a while

        References(
            self._schema, RULES
        )  # refuses what leads back to itself; no validator would come to an end
        try:
            kind = jsonschema.validators.validator_for(self._schema, jsonschema.Draft202012Validator)
            kind.check_schema(self._schema)
        except jsonschema.SchemaError as error:
            path = ".".join(["$", *(str(step) for step in error.absolute_path)])
            raise unsupported(path, error.message[:200], "mend the schema") from error
        return kind(self._schema)

    def _check(self, value: Any) -> None:
        try:
            errors = list(self._whole.iter_errors(value))
        except RecursionError as error:
            raise Invalid(lambda: ("answer: the schema leads back to itself",)) from error
        if errors:
            lines = tuple(f"{_path(error)}: violates {error.validator}" for error in errors[:_MOST_ERRORS])
            raise Invalid(lambda: lines)


def _path(error: Any) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path]
    return "".join(steps).lstrip(".") or "answer"


def _target(schema: dict[str, Any]) -> SchemaTarget:
    # Marshalled, a schema is a key that tells 1 from True and sees a change of the same object.
    try:
        key = marshal.dumps(schema, 2)
    except ValueError as error:
        raise unsupported(
            "$", "holds what is no JSON, or is nested too deep", "pass plain dicts and lists"
        ) from error
    return _made(key)


@lru_cache(maxsize=256)
def _made(key: bytes) -> SchemaTarget:
    return SchemaTarget(marshal.loads(key))  # noqa: S302 # written a moment ago, by this process


def _core_validator(document: Document) -> SchemaValidator:
    definitions = [
        {**_core(form), "ref": f"definition:{name}"} if not isinstance(form, Ref) else _alias(name, form)
        for name, form in document.definitions
    ]
    root = _core(document.root)
    return SchemaValidator(core_schema.definitions_schema(root, definitions) if definitions else root)


def _alias(name: str, form: Ref) -> Any:
    return core_schema.nullable_schema(_core(form), ref=f"definition:{name}")


def _core(form: Form) -> Any:
    match form:
        case Scalar():
            return _scalar(form)
        case Null():
            return core_schema.none_schema()
        case Choice(values=values):
            return core_schema.no_info_plain_validator_function(partial(_chosen, values))
        case Anything():
            return core_schema.any_schema()
        case ListOf(item=item, limits=limits):
            return core_schema.list_schema(
                _core(item), min_length=limits.min_length, max_length=limits.max_length, strict=True
            )
        case TupleOf(items=items):
            parts = core_schema.tuple_schema([_core(item) for item in items])
            return core_schema.no_info_after_validator_function(list, parts)
        case MapOf(value=value, limits=limits):
            return core_schema.dict_schema(
                core_schema.str_schema(),
                _core(value),
                min_length=limits.min_length,
                max_length=limits.max_length,
                strict=True,
            )
        case UnionOf(options=options):
            return core_schema.union_schema([_core(option) for option in options])
        case Ref(name=name):
            return core_schema.definition_reference_schema(f"definition:{name}")
        case Record(members=members):
            fields = {
                member.name: core_schema.typed_dict_field(_core(member.form), required=member.required)
                for member in members
            }
            return core_schema.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _chosen(values: tuple[Any, ...], value: Any) -> Any:
    """The choice that equals the value; of pydantic's literals 1 would be True."""
    for choice in values:
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):
            return choice
    raise PydanticCustomError("choice", "Input should be one of the choices")


def _scalar(form: Scalar) -> Any:
    limits = form.limits
    numeric: Any = {
        "ge": limits.ge,
        "gt": limits.gt,
        "le": limits.le,
        "lt": limits.lt,
        "multiple_of": limits.multiple_of,
    }
    match form.kind:
        case "int":
            return core_schema.int_schema(**numeric, strict=True)
        case "float":
            return core_schema.float_schema(**numeric, allow_inf_nan=False, strict=True)
        case "bool":
            return core_schema.bool_schema(strict=True)
        case "str":
            return core_schema.str_schema(
                min_length=limits.min_length,
                max_length=limits.max_length,
                pattern=limits.pattern,
                strict=True,
            )
    return core_schema.no_info_after_validator_function(_checked(form), core_schema.str_schema(strict=True))


def _checked(form: Scalar) -> Callable[[str], str]:
    validate = leaves.validator(form)

    def check(text: str) -> str:
        validate.validate_strings(text)
        return text

    return check
