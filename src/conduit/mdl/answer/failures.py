"""What is said of an answer that is no value. None of it repeats what the model wrote."""

from __future__ import annotations

from typing import Final

from conduit.errors import OutputInvalid, OutputTruncated
from conduit.mdl.answer.fits import Problem
from conduit.mdl.answer.parsed import Target
from conduit.mdl.form import Form
from conduit.mdl.partial.incremental import partial_value
from conduit.mdl.text.writer import type_text

_SHOWN_ERRORS: Final = 8
_MOST_SHOWN: Final = 120  # characters of a type


def line(problem: Problem) -> str:
    """A problem as ``path: problem (expected type)``."""
    return f"{problem.path or 'answer'}: {problem.text} (expected {shown(problem.expected)})"


def shown(form: Form) -> str:
    """A form's text, as far as a line has room for it."""
    text = type_text(form)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


def invalid(target: Target, raw: str, lines: tuple[str, ...]) -> OutputInvalid:
    """The error for an answer that no reading made a value of."""
    shown = "; ".join(lines[:_SHOWN_ERRORS])
    return OutputInvalid(
        f"The answer is not a valid {target.label}: {shown}.",
        hint="The error's `raw` holds the model's text.",
        raw=raw,
        errors=lines,
    )


def truncated_answer(target: Target, raw: str) -> OutputTruncated:
    """The error for an answer that was cut, with what could be read of it."""
    return OutputTruncated(
        f"The answer was cut at the token limit after {len(raw)} characters, so it is not a whole value.",
        hint="Raise max_tokens or max_model_len, or bound the type: `Annotated[str, Field(max_length=200)]`.",
        raw=raw,
        partial=partial_value(raw, target.guide.document),
    )
