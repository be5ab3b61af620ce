"""The page on the simulator names every fault, every place for one, and every option of the command."""

import re
from pathlib import Path

import typer

from conduit.cli.app import app
from conduit.sim.runpod import faults

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


def test_every_fault_and_place_is_on_the_page():
    named = set(re.findall(r"`([^`\s]+)`", PAGE))
    wanted = {*faults.ANSWERS, *faults.AFTER, *faults.LIVES, *faults.OPERATIONS, faults.POD, faults.PROXY}
    assert wanted - named == set()


def test_every_field_of_a_fault_is_on_the_page():
    assert [
        name for name in faults.Fault.model_fields if f"`{name}" not in PAGE and name not in PAGE.lower()
    ] == []


def test_the_table_of_options_is_the_commands():
    command = typer.main.get_command(app).commands["sim"].commands["runpod"]
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert set(re.findall(r"^\| `(--[\w-]+)`", PAGE, re.MULTILINE)) == options - {"--help"}
