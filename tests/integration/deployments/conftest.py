"""A copy of what a user deploys, and Prefect's commands in it, against the session's server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.prefect_commands import Prefect

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The flows and their deployments, copied elsewhere."""
    folder = tmp_path / "elsewhere"
    for name in ("flows", "deployments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", folder / "prefect.yaml", follow_symlinks=False)
    return folder


@pytest.fixture
def prefect(
    prefect_server: str, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prefect]:
    """The commands; what runs of the test's own deployments ends with it."""
    monkeypatch.delenv("CONDUIT_PROJECT")  # a run's project is the folder that it was deployed from
    commands = Prefect(prefect_server, checkout, tmp_path)
    with commands.api:
        yield commands
    down = [sys.executable, "-m", "conduit", "down"]
    subprocess.run(down, cwd=checkout, env=dict(os.environ), stdout=subprocess.DEVNULL, check=False)
