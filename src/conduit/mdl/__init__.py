"""MDL, the Model Data Language: Python types as text for a model, as a decoding schema, and back as values.

Pure: nothing here does I/O or knows an engine's client.
"""

from __future__ import annotations

from typing import Any

from conduit.mdl.answer import Parsed, Repair, parse, parse_schema
from conduit.mdl.form import Document
from conduit.mdl.lowering import Lowered, lower
from conduit.mdl.prompt import VERSION, Prompt, prompt
from conduit.mdl.python.ambiguity import AmbiguousUnion
from conduit.mdl.python.read import read, read_unfolded
from conduit.mdl.schema import full_schema
from conduit.mdl.streaming import AsyncStream, Partial, Stream, StreamParser, astream, stream
from conduit.mdl.text.reader import from_text
from conduit.mdl.text.writer import document_text, seed_lines

__all__ = [
    "VERSION",
    "AmbiguousUnion",
    "AsyncStream",
    "Document",
    "Lowered",
    "Parsed",
    "Partial",
    "Prompt",
    "Repair",
    "Stream",
    "StreamParser",
    "astream",
    "compile_mdl",
    "from_text",
    "json_schema",
    "lower",
    "parse",
    "parse_schema",
    "prompt",
    "render",
    "stream",
]


def compile_mdl(type_: Any) -> list[str]:
    """The seed form of a type: one line ``name: type`` a field.

    Raises:
        UnsupportedType: MDL cannot express the type (also a ``TypeError``).
    """
    return seed_lines(read_unfolded(type_))


def render(source: Any) -> str:
    """MDL/1 text of a type or of a ``Document``, with docs, defaults and constraints.

    Raises:
        UnsupportedType: MDL cannot express the type.
    """
    return document_text(source if isinstance(source, Document) else read(source))


def json_schema(type_: Any) -> dict[str, Any]:
    """The decoding schema of a type as JSON Schema 2020-12: all fields required, none added.

    Raises:
        UnsupportedType: MDL cannot express the type.
    """
    return full_schema(read(type_))
