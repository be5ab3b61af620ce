"""What of a call's values and messages is stored: nothing unless asked for, redacted, and of bounded size.

Pure functions; whoever writes rows calls them first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from conduit.settings import Settings

REDACTED = "[redacted]"
LARGEST_VALUE_BYTES = 16 * 1024
"""Of one stored value, as JSON."""


def values_kept(settings: Settings) -> bool:
    """Whether block calls are stored with inputs, output and the error's message."""
    return settings.run_log and settings.run_log_values


def redacted(value: Any, patterns: Iterable[str], *, max_bytes: int = LARGEST_VALUE_BYTES) -> Any:
    """The value as JSON that may be stored.

    What stands under a key that a pattern is found in is replaced whole; in texts, what a pattern matches. A value
    that is longer than ``max_bytes`` becomes a text: its beginning, and how long it was.

    Args:
        value: Anything; what JSON cannot say is told by the name of its type.
        patterns: Regular expressions, as ``CONDUIT_RUN_LOG_REDACT`` lists them.
        max_bytes: Of the value as JSON.
    """
    try:
        plain = to_jsonable_python(value, bytes_mode="base64", fallback=_name_of_type)
    except (ValueError, RecursionError):  # it holds itself, or something of it does not let itself be read
        plain = _name_of_type(value)
    clean = _without(plain, [re.compile(pattern) for pattern in patterns])
    text = clean if isinstance(clean, str) else json.dumps(clean)
    size = len(text.encode(errors="replace"))
    if size <= max_bytes:
        return clean
    return f"{text.encode(errors='replace')[:max_bytes].decode(errors='ignore')}… ({size} bytes in all)"


def storable(text: str | None) -> str | None:
    """The text without what a database refuses: halves of characters, and the character 0 in Postgres."""
    if text is None:
        return None
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _without(value: Any, patterns: list[re.Pattern[str]]) -> Any:
    match value:
        case str():
            for pattern in patterns:
                value = pattern.sub(REDACTED, value)
            return value
        case Mapping():
            return {
                key: REDACTED if any(p.search(key) for p in patterns) else _without(inner, patterns)
                for key, inner in value.items()
            }
        case list():
            return [_without(inner, patterns) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
    return value


def _name_of_type(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
