"""Lengths of time as commands take them: 30m, 24h, 7d."""

from __future__ import annotations

import re

from conduit.errors import ArgumentInvalid

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def seconds(text: str, *, option: str = "since") -> float:
    """The length in seconds.

    Raises:
        ArgumentInvalid: It is none; ``option`` is named.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhd])", text)
    if match is None:
        raise ArgumentInvalid(
            f"--{option} {text!r} is no time.", hint="Write 30m, 24h or 7d.", argument=option
        )
    return float(match[1]) * _UNITS[match[2]]
