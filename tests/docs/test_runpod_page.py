"""The page on RunPod has the settings, the errors and the names that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from conduit import errors
from conduit.compute import environment, processes
from conduit.settings import Settings, variables

PAGE = (Path(__file__).parents[2] / "docs" / "runpod.md").read_text()


def rows(title: str) -> list[list[str]]:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    lines = re.findall(r"^\| *(.*?) *\|$", found[1], re.MULTILINE)
    cells = [re.split(r"\s*\|\s*", line) for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("-: ")][1:]


def test_every_setting_is_there_with_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows("Settings")}
    fields = {name: field for name, field in Settings.model_fields.items() if name.startswith("runpod_")}
    has = {
        variables(name)[0]: "" if field.default is None else str(field.default)
        for name, field in fields.items()
    }
    assert told == has


def test_every_other_variable_that_is_read_is_named() -> None:
    for name in Settings.model_fields:
        if name.startswith(("runpod_", "hf_")):
            assert all(f"`{variable}`" in PAGE for variable in variables(name))


def test_every_error_of_a_provider_is_there() -> None:
    told = {row[1].strip("`") for row in rows("When RunPod says no")}
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.ProviderError)]
    assert told == {kind.__name__ for kind in kinds if kind is not errors.ProviderError}


def test_name_and_tags_are_those_that_a_node_gets() -> None:
    assert f"`{environment.name('<owner>', '<node>')}`" in PAGE
    tags = [name for name in vars(processes) if name.endswith("_TAG") and name != "HOME_TAG"]
    assert tags
    assert all(f"`{getattr(processes, name)}`" in PAGE for name in tags)
