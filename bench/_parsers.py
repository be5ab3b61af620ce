"""The parsers that are compared: each takes a row and gives plain JSON data, or raises.

Every peer gets its best fair chance: what it reads is put through pydantic's lax validation of the type, as its
users do, so that text which fits no type is an error and not a wrong value.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import dspy
import json_repair
from _baml import BamlFunction
from _python_types import adapter_of
from _rows import Row
from dspy.adapters.json_adapter import JSONAdapter
from dspy.adapters.utils import parse_value
from instructor.v2.core.json import extract_json_from_codeblock
from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_jsonable_python

from conduit import mdl

Parser = Callable[[Row], Any]
_baml_functions: dict[str, BamlFunction] = {}


def conduit_mdl(row: Row) -> Any:
    """By the type where there is one, by the bare schema elsewhere."""
    if row.type is None:
        return mdl.parse_schema(row.raw, row.schema).value
    return row.plain(mdl.parse(row.raw, row.type).value)


def baml(row: Row) -> Any:
    key = f"{row.baml.declarations}\n{row.baml.type}"
    if key not in _baml_functions:
        _baml_functions[key] = BamlFunction(row.baml)
    value = _baml_functions[key].parse(row.raw, by_alias=row.converts)
    return _validated(row, value) if row.converts else value


def json_repair_plain(row: Row) -> Any:
    return _validated(row, json_repair.repair_json(row.raw, return_objects=True))


def json_repair_with_schema(row: Row) -> Any:
    """In the mode that reads more of all sets than the standard one."""
    return _validated(
        row,
        json_repair.repair_json(
            row.raw, return_objects=True, schema=row.schema, schema_repair_mode="salvage"
        ),
    )


def dspy_adapter(row: Row) -> Any:
    """As one field's text, and for a record, if that fails, by the JSON adapter with the record's fields."""
    with contextlib.suppress(Exception):
        return row.plain(parse_value(row.raw, _type_of(row.validator)))
    record = _type_of(adapter_of(row.schema))
    if not (isinstance(record, type) and issubclass(record, BaseModel)):
        raise TypeError("the JSON adapter reads records only")
    fields: dict[str, Any] = {"text": (str, dspy.InputField())}
    for name, info in record.model_fields.items():
        fields[info.serialization_alias or name] = (info.annotation, dspy.OutputField())
    values = JSONAdapter().parse(dspy.Signature(fields), row.raw)
    return _validated(row, {name: to_jsonable_python(value, by_alias=True) for name, value in values.items()})


def _type_of(validator: TypeAdapter[Any]) -> Any:
    return validator._type  # noqa: SLF001 - what it was made of


def instructor_json(row: Row) -> Any:
    return row.plain(row.validator.validate_json(extract_json_from_codeblock(row.raw)))


def pydantic_partial(row: Row) -> Any:
    return _validated(row, from_json(row.raw, allow_partial="trailing-strings"))


def json_loads(row: Row) -> Any:
    return _validated(row, json.loads(row.raw))


def _validated(row: Row, value: Any) -> Any:
    return row.plain(row.validator.validate_python(value))


PARSERS: Mapping[str, Parser] = {
    "conduit": conduit_mdl,
    "baml-py": baml,
    "json_repair": json_repair_plain,
    "json_repair + schema": json_repair_with_schema,
    "dspy": dspy_adapter,
    "instructor": instructor_json,
    "pydantic partial": pydantic_partial,
    "json.loads": json_loads,
}
logging.getLogger("dspy").setLevel(logging.ERROR)
