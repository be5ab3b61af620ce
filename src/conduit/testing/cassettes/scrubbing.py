"""Keeping secrets out of cassettes: texts are scrubbed before they are compared or written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from conduit.settings import Settings

SCRUBBED = "[scrubbed]"

_SHORTEST = 6  # a shorter value says nothing, and stands in half of all texts
_NAMED_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")
_KNOWN_FORMS = (
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\brpa_[A-Za-z0-9]{20,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"(?<=\bBearer )[A-Za-z0-9._~+/=-]{12,}",
    r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)",
)


class Scrubber:
    """Takes secrets out of JSON data.

    Secrets are those of the settings and of the environment, those whose form is known, and what the given patterns
    match.
    """

    def __init__(self, settings: Settings, patterns: Iterable[str | re.Pattern[str]] = ()) -> None:
        values = sorted({*_of(settings), *_of_environment()}, key=len, reverse=True)
        forms = [re.escape(value) for value in values if len(value) >= _SHORTEST]
        self._patterns = [re.compile(pattern) for pattern in (*forms, *_KNOWN_FORMS, *patterns)]

    def __call__(self, data: Any) -> Any:
        """The data with ``[scrubbed]`` in the place of each secret."""
        if isinstance(data, str):
            for pattern in self._patterns:
                data = pattern.sub(SCRUBBED, data)
            return data
        if isinstance(data, dict):
            return {self(key): self(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return [self(part) for part in data]
        return data


def _of(settings: Settings) -> Iterable[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            secret = value.get_secret_value()
            yield secret
            if "://" in secret and (password := urlsplit(secret).password):
                yield password
                yield unquote(password)


def _of_environment() -> Iterable[str]:
    return (value for name, value in os.environ.items() if _NAMED_SECRET.search(name.upper()))
