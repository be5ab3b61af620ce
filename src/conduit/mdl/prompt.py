"""The prompt of a typed call: what is static first, so that engines' prefix caches hit.

The system message holds the preamble, the instruction, both types and the examples; the user message holds only the
compact JSON of the values. A prompt is compiled once for a function and then only filled.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, overload
from weakref import WeakKeyDictionary

import pydantic_core

from conduit.mdl.answer import Parsed, parse
from conduit.mdl.answer.by_type import target_of
from conduit.mdl.examples import Example, ExampleTypes, example_lines
from conduit.mdl.form import Document, Record
from conduit.mdl.python.docstrings import instruction as instruction_of
from conduit.mdl.python.read import read
from conduit.mdl.python.refusals import refusal
from conduit.mdl.python.signature import read_signature
from conduit.mdl.reasoning import with_reasoning
from conduit.mdl.schema import Schema, decoding_schema
from conduit.mdl.streaming import StreamParser
from conduit.mdl.text.writer import document_text

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
        output_form: The form of the answer's type.
        output: The answer's type.
        examples: Lines of examples, as the system message has them.
        reasoning: Whether the model is asked to reason in a first field; see ``asked``.
    """

    name: str
    instruction: str
    input: Document | None
    output_form: Document
    output: type[T]
    examples: tuple[str, ...] = ()
    reasoning: bool = False

    @cached_property
    def asked(self) -> Document:
        """The form of the answer as the model writes it: with reasoning, if that is asked for."""
        return with_reasoning(self.output_form) if self.reasoning else self.output_form

    @cached_property
    def system(self) -> str:
        """The static system message."""
        parts = [_PREAMBLE]
        if self.instruction:
            parts.append(self.instruction)
        if self.input is not None:
            parts.append("INPUT\n" + document_text(self.input))
        parts.append("OUTPUT\n" + document_text(self.asked))
        if self.examples:
            parts.append("\n".join(("EXAMPLES", *self.examples)))
        return "\n\n".join(parts)

    @cached_property
    def schema(self) -> Schema:
        """The decoding schema of the answer."""
        return decoding_schema(self.asked)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of version, instruction, schemas and examples: equal in all processes and Python versions."""
        source = decoding_schema(self.input) if self.input is not None else None
        content: list[Any] = [VERSION, self.instruction, source, self.schema]
        if self.examples:
            content.append(list(self.examples))
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def user(self, values: Any) -> str:
        """The user message: compact JSON of the argument mapping or input value, ``{}`` without input."""
        if self.input is None:
            return "{}"
        return pydantic_core.to_json(values).decode()

    def parse(self, text: str, *, truncated: bool = False) -> Parsed[T]:
        """Parses an answer to this prompt; see ``mdl.parse``."""
        return parse(text, self.output, truncated=truncated, reasoning=self.reasoning)

    def parser(self, attempt: int = 1) -> StreamParser[T]:
        """A reader of an answer to this prompt that is still being written; see ``mdl.StreamParser``."""
        return StreamParser(self.output, attempt=attempt, reasoning=self.reasoning)


@overload
def prompt(
    source: Callable[..., T], /, *, examples: Sequence[Example] = (), reasoning: bool = False
) -> Prompt[T]: ...
@overload
def prompt(
    *,
    output: type[T],
    input: Any = None,
    instruction: str = "",
    examples: Sequence[Example] = (),
    reasoning: bool = False,
) -> Prompt[T]: ...
def prompt(
    source: Callable[..., Any] | None = None,
    /,
    *,
    output: Any = None,
    input: Any = None,
    instruction: str = "",
    examples: Sequence[Example] = (),
    reasoning: bool = False,
) -> Prompt[Any]:
    """Compiles a prompt, from a function without a body or from types.

    Of a function the docstring is the instruction, the parameters are the input and the return type is the output.
    Its prompt is kept as long as the function is, so a second call gives the same one.

    Args:
        source: A function.
        output: Type of the answer, if there is no function.
        input: Type of the input, if there is one.
        instruction: What the model is to do, if there is no function.
        examples: Pairs of inputs (a function's arguments by name) and output; with ``reasoning`` a third part is
            the reasoning.
        reasoning: The model is to reason in a field of its own before it answers.

    Raises:
        UnsupportedType: MDL cannot express one of the types, or pydantic cannot validate it.
        ExampleInvalid: An example does not fit them.
    """
    if source is None:
        return _of_types(output, input, instruction, examples, reasoning=reasoning)
    if inspect.isclass(source) or not hasattr(source, "__qualname__"):
        raise refusal("", f"{source!r:.80} is no function", "for a type write `prompt(output=Type)`")
    kept: dict[bool, Prompt[Any]] = _kept.setdefault(getattr(source, "__func__", source), {})
    if examples:
        return _of_function(source, examples, reasoning=reasoning)
    if reasoning not in kept:
        kept[reasoning] = _of_function(source, (), reasoning=reasoning)
    return kept[reasoning]


_kept: WeakKeyDictionary[Callable[..., Any], dict[bool, Prompt[Any]]] = WeakKeyDictionary()


def _of_function(source: Callable[..., Any], examples: Sequence[Example], *, reasoning: bool) -> Prompt[Any]:
    signature = read_signature(source, _names_around(source))
    root = signature.parameters.root
    assert isinstance(root, Record)
    given = signature.parameters if root.members else None
    form = read(signature.returns, "return")
    target_of(signature.returns)  # what cannot be validated is refused before a model is asked
    types = ExampleTypes(
        inputs=signature.types,
        needed=frozenset(member.name for member in root.members if member.required),
        output=signature.returns,
        input_form=given,
        output_form=form,
        reasoning=reasoning,
    )
    return Prompt(
        name=source.__name__,
        instruction=instruction_of(source),
        input=given,
        output_form=form,
        output=signature.returns,
        examples=example_lines(examples, types),
        reasoning=reasoning,
    )


def _of_types(
    output: Any, input: Any, instruction: str, examples: Sequence[Example], *, reasoning: bool
) -> Prompt[Any]:
    given = None if input is None else read(input, "input")
    form = read(output)
    target_of(output)
    types = ExampleTypes(input, frozenset(), output, given, form, reasoning)
    return Prompt(
        name=getattr(output, "__name__", str(output)),
        instruction=instruction.strip(),
        input=given,
        output_form=form,
        output=output,
        examples=example_lines(examples, types),
        reasoning=reasoning,
    )


def _names_around(source: Callable[..., Any]) -> Mapping[str, Any]:
    """The local names where a local function's prompt is asked for: its annotations may be texts of them."""
    if "<locals>" not in source.__qualname__:
        return {}
    frame = inspect.currentframe()
    here = frame.f_globals if frame is not None else {}
    while frame is not None and frame.f_globals is here:
        frame = frame.f_back
    return dict(frame.f_locals) if frame is not None else {}
