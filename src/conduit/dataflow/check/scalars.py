"""Which scalars pydantic makes of which, tried on samples instead of told by a table that could be wrong.

A sample stands for each way in which values of its type convert: texts that read as a number, a date, an address.
Constraints are left aside, so that "none of the samples passes" means that no value does.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import uuid
from functools import lru_cache
from typing import Any

import pydantic
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

_CONFIG = ConfigDict(arbitrary_types_allowed=True)
_UUID = uuid.UUID("1a2b3c4d-0000-4000-8000-000000000000")
_TEXTS = (
    "", "a", "1", "-1", "1.5", "true", "2024-01-31", "2024-01-31T12:30:00", "2024-01-31T12:30:00Z", "12:30:00",
    "P1DT2H", str(_UUID), "https://example.org/a", "a@example.org", "127.0.0.1", "::1", "10.0.0.0/8", "1+2j",
)  # fmt: skip

SAMPLES: dict[type, tuple[Any, ...]] = {
    bool: (True, False),
    int: (0, 1, 2, -1, 86400, 1_700_000_000),
    float: (0.0, 1.0, 0.5, -1.5, 86400.0),
    str: _TEXTS,
    bytes: (*(text.encode() for text in _TEXTS), _UUID.bytes, b"\xff"),
    complex: (0j, 1 + 2j),
    decimal.Decimal: tuple(map(decimal.Decimal, ("0", "1", "0.5", "86400", "-3"))),
    datetime.datetime: (
        datetime.datetime(2024, 1, 31),  # noqa: DTZ001 # without a zone on purpose
        datetime.datetime(2024, 1, 31, 12, 30, tzinfo=datetime.UTC),
    ),
    datetime.date: (datetime.date(2024, 1, 31),),
    datetime.time: (datetime.time(12, 30),),
    datetime.timedelta: (datetime.timedelta(), datetime.timedelta(days=1, seconds=1.5)),
    uuid.UUID: (_UUID,),
    pathlib.PurePath: (pathlib.Path("a"), pathlib.Path("/1")),
    ipaddress.IPv4Address: (ipaddress.IPv4Address("127.0.0.1"),),
    ipaddress.IPv6Address: (ipaddress.IPv6Address("::1"),),
    re.Pattern: (re.compile("a"),),
    pydantic.SecretStr: (pydantic.SecretStr("a"), pydantic.SecretStr("1")),
    pydantic.AnyUrl: (pydantic.AnyUrl("https://example.org/a"),),
}
"""Samples by kind; a kind that is another's subclass stands before it."""

_LIKE_TEXT = (pydantic.EmailStr, pydantic.NameEmail)


def kind_of(source: Any) -> type | None:
    """Of which kind the values of a class are; ``None`` for anything but a scalar."""
    if source is pydantic.EmailStr:
        return str
    if not isinstance(source, type) or issubclass(source, enum.Enum):
        return None
    return next((kind for kind in SAMPLES if issubclass(source, kind)), None)


def is_known(source: Any) -> bool:
    """Whether it is a scalar for which the samples stand: a subclass of one may take whatever it likes."""
    return source in SAMPLES or source in _LIKE_TEXT or source in (pathlib.Path, pathlib.PurePosixPath)


@lru_cache(maxsize=1024)
def _adapter(taker: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(taker, config=_CONFIG)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            return None
    except Exception:
        return None
    try:
        return TypeAdapter(taker)
    except Exception:
        return None


def adapter(taker: Any) -> TypeAdapter[Any] | None:
    """Pydantic's validator of a type, as a block's call has it; ``None`` where it has none."""
    try:
        return _adapter(taker)
    except TypeError:  # no hash
        return None


def passes(value: Any, taker: Any) -> bool | None:
    """Whether pydantic takes the value as that type; ``None`` where that cannot be told."""
    validator = adapter(taker)
    if validator is None:
        return None
    try:
        validator.validate_python(value)
    except ValidationError:
        return False
    except Exception:
        return None
    return True


def some_and_all(values: tuple[Any, ...], taker: Any) -> tuple[bool, bool]:
    """Whether some of the values pass, and whether all do; what cannot be told passes."""
    verdicts = [passes(value, taker) is not False for value in values]
    return any(verdicts), all(verdicts)
