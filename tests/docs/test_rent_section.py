"""The README's commands for renting GPUs do what they say, on the simulator that it tells of."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("## Rent GPUs, and give them back\n")[1].split("\n## ")[0]
FILE, COMMANDS, TRIED = re.findall(r"^```\w+\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
_READY_S = 60.0


def lines(block: str) -> list[str]:
    """The commands of a console block."""
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines()]


def answered(command: str) -> str:
    """The command as it is when nobody is there to say yes."""
    return f"{command} --yes" if command.startswith("conduit up ") else command


def written(file: Path) -> bool:
    """Whether the file is there to its end."""
    return file.exists() and file.read_text().endswith("\n")


@pytest.mark.timeout(150)
def test_the_commands_of_the_readme_rent_and_give_back_without_an_account(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CONDUIT_RUNPOD_ABSENT_GAP_S", "0.2")
    (tmp_path / "app.py").write_text(FILE)
    simulate, point, start = lines(TRIED)
    commands = lines(COMMANDS)
    assert start in commands
    with subprocess.Popen(simulate.split(), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            deadline = time.monotonic() + _READY_S
            while not written(tmp_path / "sim.env") and time.monotonic() < deadline:
                time.sleep(0.05)
            script = " && ".join([point, *map(answered, commands)])
            ran = subprocess.run(
                ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
            )
        finally:
            simulator.send_signal(signal.SIGINT)
            told = simulator.communicate(timeout=30)[0]
    assert ran.returncode == 0, ran.stderr
    assert "2 of 2 replicas" in ran.stdout
    assert "removed deployment" in ran.stdout
    pods = {kind: len(re.findall(rf"^\S+  {kind} ", told, re.MULTILINE)) for kind in ("created", "ended")}
    assert pods == {"created": 2, "ended": 2}
