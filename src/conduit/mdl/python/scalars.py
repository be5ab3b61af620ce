"""Python types that are one plain value in JSON, and those that look so but are refused."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import os
import pathlib
import re
import uuid
import zoneinfo
from typing import Any

import pydantic

from conduit.mdl.form import ScalarKind

_KINDS: dict[type, ScalarKind] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
    dt.timedelta: "duration",
    uuid.UUID: "uuid",
    decimal.Decimal: "decimal",
    pydantic.ByteSize: "int",
    pydantic.AwareDatetime: "datetime",
    pydantic.NaiveDatetime: "datetime",
    pydantic.PastDatetime: "datetime",
    pydantic.FutureDatetime: "datetime",
    pydantic.PastDate: "date",
    pydantic.FutureDate: "date",
    pydantic.EmailStr: "email",
    ipaddress.IPv4Address: "ipv4",
    ipaddress.IPv6Address: "ipv6",
}
_READ_FROM_TEXT: tuple[Any, ...] = (
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
    pydantic.IPvAnyAddress,
    pydantic.IPvAnyInterface,
    pydantic.IPvAnyNetwork,
    pydantic.NameEmail,
    pydantic.SecretStr,
    pydantic.Json,
    pathlib.Path,
    pathlib.PurePath,
    pathlib.PosixPath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    pathlib.WindowsPath,
    os.PathLike,
    re.Pattern,
    zoneinfo.ZoneInfo,
)
_URLS = (
    pydantic.AnyUrl,
    pydantic.PostgresDsn,
    pydantic.MongoDsn,
    pydantic.CockroachDsn,
    pydantic.NatsDsn,
)
_BYTES = (bytes, bytearray, memoryview, pydantic.SecretBytes)


def scalar_kind(source: type) -> ScalarKind | None:
    """The kind of a class that is one plain value; ``None`` for all others."""
    if (kind := _KINDS.get(source)) is not None:
        return kind
    if source in _READ_FROM_TEXT:
        return "str"
    return "url" if issubclass(source, _URLS) else None


def is_text(source: Any) -> bool:
    """Whether pydantic reads a class from any string."""
    return source in _READ_FROM_TEXT


def why_not(source: type) -> tuple[str, str] | None:
    """Problem and remedy of a class that holds one value and still cannot be a model's answer."""
    if source in _BYTES:
        return f"{source.__name__} is not text", "use `str`, or keep the bytes out of the model's sight"
    if source is pydantic.ImportString:
        return "ImportString would run what a model names", "use `str`, and look the name up yourself"
    return None
