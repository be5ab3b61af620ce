"""Room for connections: as many open files as this process may have without asking anybody."""

from __future__ import annotations

from contextlib import suppress


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one: many systems start processes with 1,024."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
