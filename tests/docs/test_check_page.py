"""The page on checks shows what the command prints, and has every code, option and exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import typer

from conduit.cli.app import app
from conduit.dataflow.check import CODES

PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text()
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
COMMAND, PRINTED = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


def test_the_command_prints_what_the_page_shows(tmp_path):
    (tmp_path / "tickets.py").write_text(CODE)
    conduit, *arguments = COMMAND.split()
    ran = subprocess.run(
        [Path(sys.executable).with_name(conduit), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ran.stdout == PRINTED
    assert ran.returncode == 1


def test_every_code_is_there_with_its_weight_and_meaning():
    told = re.findall(r"^\| `(check\.\w+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {code: (weight, meaning) for code, weight, meaning in told} == CODES


def test_every_option_is_there():
    command = typer.main.get_command(app).commands["check"]
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert set(re.findall(r"`(--[\w-]+)`", PAGE)) >= options - {"--help"}
