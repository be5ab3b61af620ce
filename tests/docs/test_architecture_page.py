"""The charts of the architecture page are the layers of the code, and nothing in them imports what is above it."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
HOUSE, *ROOMS = re.findall(r"^```text\n(.*?)^```$", PAGE.split("## The house\n")[1], re.MULTILINE | re.DOTALL)
PACKAGES = [
    name if name == "gpu_server" else f"conduit.{name}"
    for name in re.findall(r"^Within `(\w+)`", PAGE, re.MULTILINE)
]


def layers(chart: str) -> list[list[str]]:
    """The names at the beginning of each line, from above."""
    heads = [re.split(r" {2,}", line)[0] for line in chart.splitlines()]
    return [re.split(r" [|·] ", head) for head in heads]


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("conduit", "gpu_server", cache_dir=None)


def test_the_house_is_what_import_linter_enforces() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    enforced = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    has = [{name.removeprefix("conduit.") for name in layer.split(" | ")} for layer in enforced]
    assert [set(layer) for layer in layers(HOUSE)] == has


@pytest.mark.parametrize(("package", "chart"), list(zip(PACKAGES, ROOMS, strict=True)), ids=PACKAGES)
def test_nothing_in_a_room_imports_what_stands_above_it(package: str, chart: str) -> None:
    told = [[f"{package}.{name}" for name in layer] for layer in layers(chart)]
    assert [name for name in chain(*told) if name not in graph().modules] == []
    upward = [
        (below, above)
        for number, layer in enumerate(told)
        for below in layer
        for above in chain(*told[:number])
        if graph().find_shortest_chain(below, above, as_packages=True)
    ]
    assert upward == []
