"""sglang-router, the router to compare with, in an environment of its own: it is in nobody's uv.lock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from _peers import ROOT, NotInstalledError, made

ROUTER: Final = "sglang-router 0.3.2"


def router_python() -> Path:
    """The Python that has it; its environment is made now if need be."""
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    try:
        return made(
            ROOT / ".artifacts" / f"{ROUTER.replace(' ', '-')}-{version}", [ROUTER.replace(" ", "==")]
        )
    except NotInstalledError as error:
        sys.exit(
            f"{ROUTER} could not be installed.\n{error}\n"
            "Hint: it needs uv (`make setup` gets it) and, this first time, the network or uv's cache."
        )
