"""One text held against a form without parts: a number, a date, one of several choices.

Whether a value is valid is pydantic's to say, so that this reading and the last validation agree.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import uuid
from typing import Annotated, Any, Final

import pydantic
from pydantic import Field, TypeAdapter, ValidationError

from conduit.mdl.answer.choices import BOOLS, bool_text, said_choice, same_spelling
from conduit.mdl.answer.dates import iso_date, iso_duration, iso_time
from conduit.mdl.answer.fits import Fit, Miss, miss
from conduit.mdl.answer.names import squeezed
from conduit.mdl.answer.notation import Bare
from conduit.mdl.answer.numbers import as_whole, plain_fraction, plain_number
from conduit.mdl.form import NO_LIMITS, Choice, Limits, Scalar, ScalarKind
from conduit.mdl.kept import Kept

_NULLS: Final = frozenset({"null", "none", "nil", "undefined", "n/a", "na", "", "-", "nan", "unknown"})
_BARE_NULLS: Final = frozenset({"null", "None", "nil", "undefined", "NULL", "Null"})
_TYPES: Final[dict[ScalarKind, Any]] = {
    "str": str,
    "int": int,
    "float": Annotated[float, Field(allow_inf_nan=False)],
    "bool": bool,
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
    "decimal": decimal.Decimal,
    "url": pydantic.AnyUrl,
    "email": pydantic.EmailStr,
    "ipv4": pydantic.IPvAnyAddress,
    "ipv6": pydantic.IPvAnyAddress,
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,300})(\.\d{1,300}|(?:\.\d{1,300})?[eE][+-]?\d{1,4})?")
_LINK: Final = re.compile(r"\[[^\]\n]{0,200}\]\((\S+)\)|<(\S+)>|mailto:(\S+)", re.IGNORECASE)
# UUID('…') and date(2024, 3, 5), as Python shows them
_CALL: Final = re.compile(
    r"(?:[A-Za-z_]\w*\.){0,3}[A-Za-z_]\w*\((?:[\"']([^\"']{1,200})[\"']|(\d{4},\s?\d{1,2},\s?\d{1,2}))\)"
)
_BY_WORD: Final = frozenset({"int", "float", "decimal", "date", "uuid", "url", "email", "ipv4", "ipv6"})
_FREE: Final = frozenset({"str", "bool", "int"})
_NUMERIC: Final = frozenset({"int", "float", "decimal"})


def _validator(form: Scalar) -> TypeAdapter[Any]:
    limited: Any = Annotated[_TYPES[form.kind], _field(form.limits)]
    return TypeAdapter(limited)


validator: Final = Kept(_validator)
"""Pydantic's validator of a scalar with its limits, without the choices of a user's own type."""


def _field(limits: Limits) -> Any:
    names = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
    given = {name: getattr(limits, name) for name in names if getattr(limits, name) is not None}
    return Field(**given)


def is_null(value: Any) -> bool:
    """Whether this is null as JSON or Python write it."""
    return isinstance(value, Bare) and value in _BARE_NULLS


def says_null(value: Any) -> bool:
    """Whether this is a text that says null."""
    return isinstance(value, str) and not isinstance(value, Bare) and value in _BARE_NULLS


def null(value: Any) -> Fit | None:
    """Null, said in so many words."""
    if is_null(value):
        return Fit(None)
    if isinstance(value, str) and value.strip().casefold() in _NULLS:
        return Fit(None).after("text-to-null")
    return None


def scalar(form: Scalar, text: str) -> Fit | Miss:
    """A plain value from its text; ``Bare`` when it stood without quotes."""
    if form.limits is NO_LIMITS:
        if type(text) is str and form.kind == "str":
            return Fit(text)
        if type(text) is Bare and form.kind in ("int", "float") and (number := _NUMBER.fullmatch(text)):
            if number[1] is None:
                return Fit(int(text))
            if form.kind == "float" and math.isfinite(float(text)):
                return Fit(float(text))
    if is_null(text):
        return miss("is null", form)
    found = _READERS.get(form.kind, _formatted)(form, text)
    if isinstance(found, Miss):
        return found
    if form.kind in _FREE and form.limits is NO_LIMITS:
        return found
    try:
        validator(form).validate_json(_json(found.value), strict=True)
    except ValidationError as error:
        return miss(_lowered(error.errors(include_url=False, include_input=False)[0]["msg"]), form)
    return found


def _text(_: Scalar, text: str) -> Fit | Miss:
    fit = Fit(str(text))
    was_token = isinstance(text, Bare) and (
        plain_number(text) == str(text) or text.lower() in ("true", "false")
    )
    return fit.after("number-to-text") if was_token else fit


def _number(form: Scalar, text: str) -> Fit | Miss:
    number = plain_number(text.strip().strip("*`"))
    kinds: list[str] = []
    if number is None and form.kind == "int" and text.rstrip().endswith("%"):
        number = plain_number(text.rstrip()[:-1])  # of a share between 0 and 1 this would not be whole
        kinds.append("number-notation")
    if number is None and form.kind != "int" and (number := plain_fraction(text)) is not None:
        kinds.append("number-notation")
    if number is None:
        return miss("is no number", form)
    if not isinstance(text, Bare):
        kinds.append("text-to-number")
    if number != text.strip():
        kinds.append("thousands" if any(sign in text for sign in ", '\u00a0") else "number-notation")
    if form.kind == "int" and (whole := as_whole(number)) != number:
        if whole is None:
            return miss("has a fraction", form)
        number = whole
        kinds.append("whole-float")
    if form.kind == "decimal":
        kinds = [kind for kind in kinds if kind != "text-to-number"]
        value: Any = number
    else:
        value = int(number) if number.lstrip("-").isdecimal() else float(number)
    fit = Fit(value)
    for kind in reversed(kinds):
        fit = fit.after(kind)
    return fit


def _bool(form: Scalar, text: str) -> Fit | Miss:
    if isinstance(text, Bare) and text in ("true", "false"):
        return Fit(text == "true")
    value = bool_text(text)
    return miss("is neither true nor false", form) if value is None else Fit(value).after("text-to-bool")


def _formatted(form: Scalar, text: str) -> Fit | Miss:
    stripped = str(text).strip()
    if (call := _CALL.fullmatch(stripped)) is not None:
        stripped = "-".join(part.strip().zfill(2) for part in call[2].split(",")) if call[2] else call[1]
    if form.kind in ("url", "email") and (link := _LINK.fullmatch(stripped)) is not None:
        return Fit(link[1] or link[2] or link[3]).after("prose")
    if _valid(form, stripped):
        return Fit(stripped) if stripped == text else Fit(stripped).after("white-space")
    if (respelled := _respelled(form.kind, stripped)) is not None:
        return Fit(respelled).after("date-spelling")
    return Fit(stripped)  # the validator says what is wrong with it


def _respelled(kind: ScalarKind, text: str) -> str | None:
    if kind == "time":
        return iso_time(text)
    if kind == "duration":
        return iso_duration(text)
    if kind not in ("date", "datetime") or (found := iso_date(text)) is None:
        return None
    day, rest = found
    if kind == "date":
        return None if rest.removesuffix("Z") not in ("", "00:00:00", "00:00") else day
    clock = iso_time(rest) if rest else "00:00:00"
    return None if clock is None else f"{day}T{clock}"


def _valid(form: Scalar, text: str) -> bool:
    try:
        validator(form).validate_json(_json(text), strict=True)
    except ValidationError:
        return False
    return True


_READERS: Final = {"str": _text, "int": _number, "float": _number, "decimal": _number, "bool": _bool}


def choice(form: Choice, text: str) -> Fit | Miss:
    """One of the choices from its text."""
    for value in form.values:
        written = value if isinstance(value, str) else json.dumps(value)
        if text == written and isinstance(value, str) != isinstance(text, Bare):
            return Fit(value)
    for value in form.values:
        if text == (value if isinstance(value, str) else json.dumps(value)):
            return Fit(value).after("choice-spelling")
    if is_null(text) and None in form.values:
        return Fit(None)
    if found := same_spelling(form, text):
        return Fit(found[0]).after("alias" if text in dict(form.aliases) else "choice-spelling")
    numbers = [
        value for value in form.values if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if numbers and (number := plain_number(text)) is not None:
        for value in numbers:
            if value == float(number):
                return Fit(value).after("text-to-number")
    bools = [value for value in form.values if isinstance(value, bool)]
    if bools and (truth := bool_text(text)) in bools and truth is not None:
        return Fit(truth).after("text-to-bool")
    return miss("is none of the choices", form)


def said(form: Scalar | Choice, text: str) -> Fit | Miss:
    """The one value of the form that a sentence names."""
    exact = scalar(form, text) if isinstance(form, Scalar) else choice(form, text)
    if isinstance(exact, Fit):
        return exact
    if isinstance(form, Choice) or form.kind == "bool":
        found = said_choice(form if isinstance(form, Choice) else BOOLS, text)
        return Fit(found[0]).after("said-in-prose") if found else miss("names no one choice", form)
    if form.kind not in _BY_WORD or any(sign in text for sign in "{["):
        return exact
    words = {word.strip("*`\"'()[],;:!?").rstrip(".") for word in text[:2000].split()}
    fits = [fit for word in sorted(words) if word and isinstance(fit := _word(form, word), Fit)]
    different = {_json(fit.value): fit for fit in fits}
    if len(different) != 1:
        return miss("names none or several", form)
    return next(iter(different.values())).after("said-in-prose")


def _word(form: Scalar, word: str) -> Fit | Miss:
    if form.kind in ("str", "url", "email") and squeezed(word) == word:
        return miss("is a word", form)
    return scalar(form, Bare(word) if form.kind in _NUMERIC else word)


def _json(value: Any) -> str:
    return json.dumps(value)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
