"""The tables of docs/providers.md are what the code has: providers, settings, methods and errors."""

import json
import re
from pathlib import Path

from conduit import errors
from conduit.compute import ComputeProvider, Provider
from conduit.settings import Settings, SshHost, variables

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


def table(title: str, number: int = 0) -> dict[str, str]:
    """First cell and second cell of each row of a table below that title."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    tables = re.findall(r"(?:^\|.*\n)+", found[1], re.MULTILINE)
    cells = [re.split(r"\s*\|\s*", line.strip("|")) for line in tables[number].splitlines()[2:]]
    return {cell[0].strip(" `"): cell[1].strip(" `") for cell in cells}


def test_conduits_own_providers_are_all_there() -> None:
    assert set(table("Providers")) == set(ComputeProvider)


def test_the_settings_of_docker_and_ssh_are_all_there() -> None:
    has = {variables(name)[0] for name in Settings.model_fields if name.startswith(("docker_", "ssh_"))}
    assert {*table("docker"), *table("ssh")} == has


def test_the_fields_of_a_host_and_their_defaults_are_those_of_the_class() -> None:
    has = {
        name: "required" if field.is_required() else json.dumps(field.default)
        for name, field in SshHost.model_fields.items()
    }
    assert table("ssh", 1) == has


def test_the_methods_are_those_of_the_protocol() -> None:
    told = {row.partition("(")[0] for row in table("The protocol")}
    assert told == {name for name, value in vars(Provider).items() if callable(value) and name[0] != "_"}


def test_the_errors_of_machines_are_all_there() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.ComputeError)]
    assert table("Errors") == {k.__name__: k.code for k in kinds if k is not errors.ComputeError}
