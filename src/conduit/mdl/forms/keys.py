"""What can be the key of a JSON object."""

from __future__ import annotations

from conduit.mdl.form import TEXT_KINDS, Choice, Form, Scalar


def is_key(form: Form) -> bool:
    """Whether values of a form are written as strings, or as whole numbers, which JSON writes as strings there."""
    match form:
        case Scalar(kind=kind):
            return kind in TEXT_KINDS or kind == "int"
        case Choice(values=values):
            return all(isinstance(value, str) for value in values)
    return False
