"""A compose file's services as plain processes: the same commands and variables, with other addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "deployments" / "compose"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


@dataclass(frozen=True)
class Service:
    """What a container would run."""

    command: list[str]
    environment: dict[str, str]
    check: list[str]


def read(name: str) -> dict[str, Any]:
    """A file as it stands, with its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def variables(name: str) -> set[str]:
    """The variables that a file asks its user for."""
    return {match[2] for match in _VARIABLE.finditer((FOLDER / name).read_text()) if match[2]}


def service(name: str, which: str, given: Mapping[str, str], elsewhere: Mapping[str, str]) -> Service:
    """A service with its variables filled in, and each text of ``elsewhere`` replaced by its value."""

    def filled(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            dollar, variable, sign, rest = match.groups()
            if dollar:
                return "$"
            if variable in given:
                return given[variable]
            assert sign == "-", f"{variable} is not given: {rest}"
            return str(rest)

        text = _VARIABLE.sub(value, text)
        for before, after in elsewhere.items():
            text = text.replace(before, after)
        return text

    content = read(name)["services"][which]
    kind, *check = content.get("healthcheck", {}).get("test", ["CMD"])
    return Service(
        command=[filled(str(word)) for word in content["command"]],
        environment={key: filled(str(value)) for key, value in content.get("environment", {}).items()},
        check=["sh", "-c", filled(check[0])] if kind == "CMD-SHELL" else [filled(word) for word in check],
    )
