"""The prompt of a typed call: what is static first, so that engines' prefix caches hit.

The system message holds the preamble, the instruction and both types; the user message holds only the compact JSON
of the values. A prompt is compiled once for a block and then only filled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

import pydantic_core

from conduit.mdl.docstrings import instruction as instruction_of
from conduit.mdl.form import Document, Record
from conduit.mdl.parse import Parsed, parse
from conduit.mdl.read import read
from conduit.mdl.schema import Schema, decoding_schema
from conduit.mdl.signature import read_parameters, read_return
from conduit.mdl.text import document_text

T = TypeVar("T")

VERSION = "mdl/1"
_PREAMBLE = "Answer with JSON of type OUTPUT, nothing else."


@dataclass(frozen=True)
class Prompt(Generic[T]):
    """A compiled prompt.

    Attributes:
        name: The block's name, or the output type's.
        instruction: What the model is to do.
        input: The form of the values; ``None`` when there are none.
        output_form: The form of the answer.
        output: The answer's type.
    """

    name: str
    instruction: str
    input: Document | None
    output_form: Document
    output: type[T]

    @cached_property
    def system(self) -> str:
        """The static system message."""
        parts = [_PREAMBLE]
        if self.instruction:
            parts.append(self.instruction)
        if self.input is not None:
            parts.append("INPUT\n" + document_text(self.input))
        parts.append("OUTPUT\n" + document_text(self.output_form))
        return "\n\n".join(parts)

    @cached_property
    def schema(self) -> Schema:
        """The decoding schema of the answer."""
        return decoding_schema(self.output_form)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of version, instruction and both schemas: equal across processes and Python versions."""
        source = decoding_schema(self.input) if self.input is not None else None
        content = [VERSION, self.instruction, source, self.schema]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def user(self, values: Any) -> str:
        """The user message: compact JSON of the argument mapping or input value, ``{}`` without input."""
        if self.input is None:
            return "{}"
        return pydantic_core.to_json(values).decode()

    def parse(self, text: str, *, truncated: bool = False) -> Parsed[T]:
        """Parses an answer to this prompt; see ``mdl.parse``."""
        return parse(text, self.output, truncated=truncated)


@overload
def prompt(source: Callable[..., T], /) -> Prompt[T]: ...
@overload
def prompt(*, output: type[T], input: Any = None, instruction: str = "") -> Prompt[T]: ...
def prompt(
    source: Callable[..., Any] | None = None,
    /,
    *,
    output: Any = None,
    input: Any = None,
    instruction: str = "",
) -> Prompt[Any]:
    """Compiles a prompt, from a function without a body or from types.

    Of a function the docstring is the instruction, the parameters are the input and the return type is the output.

    Raises:
        UnsupportedType: MDL cannot express one of the types.
    """
    if source is not None:
        parameters = read_parameters(source)
        assert isinstance(parameters.root, Record)
        returns = read_return(source)
        return Prompt(
            name=source.__name__,
            instruction=instruction_of(source),
            input=parameters if parameters.root.members else None,
            output_form=read(returns),
            output=returns,
        )
    return Prompt(
        name=getattr(output, "__name__", str(output)),
        instruction=instruction.strip(),
        input=None if input is None else read(input),
        output_form=read(output),
        output=output,
    )
