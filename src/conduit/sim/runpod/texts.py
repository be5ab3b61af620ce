"""How the API writes values."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(unix_seconds: float) -> str:
    """A time."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
