"""MDL, the Model Data Language: Python types as text for a model, as a decoding schema, and back as values.

Pure: nothing here does I/O or knows an engine's client.
"""

from __future__ import annotations

from typing import Any

from conduit.mdl.parse import Parsed, parse
from conduit.mdl.prompt import VERSION, Prompt, prompt
from conduit.mdl.read import read
from conduit.mdl.schema import Lowered, full_schema, lower
from conduit.mdl.text import document_text, seed_lines

__all__ = [
    "VERSION",
    "Lowered",
    "Parsed",
    "Prompt",
    "compile_mdl",
    "json_schema",
    "lower",
    "parse",
    "prompt",
    "render",
]


def compile_mdl(type_: Any) -> list[str]:
    """The seed form of a type: one line ``name: type`` a field.

    Raises:
        UnsupportedType: MDL cannot express the type (also a ``TypeError``).
    """
    return seed_lines(read(type_))


def render(type_: Any) -> str:
    """MDL/1 text of a type, with docs, defaults and constraints.

    Raises:
        UnsupportedType: MDL cannot express the type.
    """
    return document_text(read(type_))


def json_schema(type_: Any) -> dict[str, Any]:
    """The decoding schema of a type as JSON Schema 2020-12: all fields required, none added.

    Raises:
        UnsupportedType: MDL cannot express the type.
    """
    return full_schema(read(type_))
