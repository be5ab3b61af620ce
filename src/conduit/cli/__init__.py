"""The ``conduit`` command: one module a command, and how they print.

Loading this package loads no command: ``main`` does, and each command loads what it needs when it runs, so that
``conduit --help`` answers at once.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Runs the command line; ends the process."""
    from conduit.cli.app import app

    app()
