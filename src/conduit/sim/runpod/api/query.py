"""Parameters of a query, as strict as the API's contract."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

from fastapi import Request

from conduit.sim.runpod.problems import Problem

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def text(request: Request, name: str, allowed: Collection[str] | None = None) -> str | None:
    """A parameter; None where it is not given.

    Raises:
        Problem: It is none of those that are allowed.
    """
    value = request.query_params.get(name)
    if value is not None and allowed is not None and value not in allowed:
        raise wrong(name, f"must be one of {', '.join(allowed)}")
    return value


def listed(
    request: Request, name: str, allowed: Collection[str] | None = None, pattern: str = ".+"
) -> list[str] | None:
    """A list with commas; None where it is not given.

    Raises:
        Problem: A value in it is not allowed.
    """
    if name not in request.query_params:
        return None
    joined = ",".join(request.query_params.getlist(name))
    values = joined.split(",") if joined else []
    for value in values:
        if (allowed is not None and value not in allowed) or not re.fullmatch(pattern, value):
            raise wrong(name, f"{value!r} is not allowed")
    return values


def whole(request: Request, name: str, least: int, most: int | None = None) -> int | None:
    """A whole number; None where it is not given.

    Raises:
        Problem: It is none, or out of its bounds.
    """
    value = request.query_params.get(name)
    if value is None:
        return None
    if not _WHOLE.fullmatch(value) or int(value) < least or (most is not None and int(value) > most):
        raise wrong(name, f"must be a whole number from {least}" + ("" if most is None else f" to {most}"))
    return int(value)


def flag(request: Request, name: str) -> bool | None:
    """A truth value; None where it is not given.

    Raises:
        Problem: It is none.
    """
    value = text(request, name, ("true", "false"))
    return None if value is None else value == "true"


def moment(value: str, name: str) -> datetime:
    """A time of RFC 3339.

    Raises:
        Problem: It is none.
    """
    if not _MOMENT.fullmatch(value):
        raise wrong(name, "must be a time as 2026-06-01T12:00:00Z")
    try:
        # A leap second has no datetime of its own.
        return datetime.fromisoformat(value.upper().replace(":60", ":59", 1)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise wrong(name, "must be a time that exists") from error


def wrong(name: str, why: str) -> Problem:
    """The parameter is against the contract."""
    return Problem(422, "Request validation failed.", errors=[f"{name}: {why}"])
