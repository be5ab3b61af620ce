"""transformers on torch's CPU build, as a process in an environment of its own: what it takes of memory."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from _peers import ROOT, NotInstalledError, environment_of, made

_PEERS: Final = ROOT / "bench" / "peers"
_PINS: Final = _PEERS / "transformers.txt"


@dataclass(frozen=True)
class TransformersMemory:
    """RSS of the one process, in bytes."""

    idle: int
    peak: int


def transformers_memory(
    model: Path, *, sequences: int, tokens: int, batches: int
) -> TransformersMemory | None:
    """Loads the model and generates in batches. None, and a printed line, where that cannot be done."""
    try:
        python = _python()
    except NotInstalledError as error:
        print(f"transformers: not measured, it could not be installed: {_line(str(error))}")
        return None
    done = subprocess.run(
        [
            str(python),
            str(_PEERS / "transformers_memory.py"),
            str(model),
            *map(str, (sequences, tokens, batches)),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        print(f"transformers: not measured, exit code {done.returncode}: {_line(done.stderr)}")
        return None
    return TransformersMemory(**json.loads(done.stdout))


def _python() -> Path:
    environment = environment_of("transformers", _PINS)
    # PyPI has no CPU build for Linux. A folder of wheels may, and pip's variable names one that uv does not read.
    folders = os.environ.get("PIP_FIND_LINKS", "").split()
    links = [argument for folder in folders for argument in ("--find-links", folder)]
    try:
        return made(environment, [*links, "-r", str(_PINS)])
    except NotInstalledError:
        return made(environment, ["--torch-backend", "cpu", "-r", str(_PINS)])


def _line(text: str) -> str:
    """The end of it, which says the cause, as one line."""
    words = " ".join(text.split())
    return words if len(words) <= 200 else f"… {words[-200:]}"
