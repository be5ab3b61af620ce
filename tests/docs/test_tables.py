"""The tables of the docs are what the code has: fields, defaults, routes, metrics and versions.

Those of settings, commands and Conduit's errors are held by ``test_site`` and ``test_errors_page``.
"""

import ast
import json
import re
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path

import pytest

from conduit.lmlite import ModelConfig
from conduit.lmlite.nodes.health import ReplicaHealth
from conduit.lmlite.replicas.policies import PolicyName
from conduit.lmlite.replicas.states import ReplicaState
from gpu_server import errors as server_errors
from gpu_server.api import app as app_module
from gpu_server.engines import sglang, vllm
from gpu_server.settings import ModelSettings, ServerSettings

DOCS = Path(__file__).parents[2] / "docs"
LMLITE, SERVER = (DOCS / "lmlite.md").read_text(), (DOCS / "gpu_server.md").read_text()


def section(page: str, title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = re.findall(r"^\| *(.+?) *\|$", text, re.MULTILINE)
    cells = [re.split(r"\s*\|\s*", line) for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("-: ")]


def test_model_fields_and_their_defaults_are_those_of_the_class() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(section(LMLITE, "Models"))[1:]}
    has = {
        f.name: "" if f.default is MISSING else f.default if f.name == "task" else repr(f.default)
        for f in fields(ModelConfig)
    }
    assert told == has


@pytest.mark.parametrize("kind", [ServerSettings, ModelSettings])
def test_the_servers_fields_and_their_defaults_are_those_of_the_class(kind: type) -> None:
    server, model = section(SERVER, "The configuration").split("Fields of a model:")
    told = {
        row[0].strip("`"): row[1].strip("`") for row in rows(server if kind is ServerSettings else model)[1:]
    }
    has = {
        name: "required" if field.is_required() else json.dumps(field.default)
        for name, field in kind.model_fields.items()
    }
    assert told == has


def refusals() -> set[tuple[str, str]]:
    """Status and code of all that the server can refuse with, from its source."""
    found = set()
    for path in Path(server_errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            codes = [
                k.value.value for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)
            ]
            if name == "ApiError" and codes and isinstance(node.args[0], ast.Constant):
                found.add((str(node.args[0].value), codes[0]))
            elif name == "bad_request":
                found.add(("400", codes[0] if codes else "invalid_value"))
    return found


def test_the_servers_errors_are_all_there() -> None:
    told = {(row[0], row[1].strip("`")) for row in rows(section(SERVER, "Errors"))[1:]}
    assert told == refusals()


def test_the_routes_are_all_there() -> None:
    source = ast.parse(Path(app_module.__file__).read_text())
    texts = [node.value for node in ast.walk(source) if isinstance(node, ast.Constant)]
    paths = {text.replace(":path", "") for text in texts if re.fullmatch(r"/[\w/{}:.]+", str(text))}
    told = set(re.findall(r"(/[\w/{}.]+)`", section(SERVER, "Routes").split("`service_tier")[0]))
    assert told == paths


def test_the_metrics_that_are_named_exist() -> None:
    told = {name for row in rows(section(SERVER, "Metrics"))[1:] for name in re.findall(r"`(\w+)`", row[0])}
    folder = Path(server_errors.__file__).parent / "serving"
    source = "".join(path.read_text() for path in folder.glob("*metrics.py"))
    missing = [n for n in told if not re.search(rf'"(gpu_server_)?{n.removesuffix("_total")}"', source)]
    assert told
    assert missing == []


def test_policies_states_and_versions_are_those_of_the_code() -> None:
    policies = {row[0].strip("`") for row in rows(section(LMLITE, "Routing"))[1:]}
    assert policies == set(PolicyName.__args__)
    states = {row[0].strip("`") for row in rows(section(LMLITE, "How they are"))[1:]}
    assert states == {*ReplicaState, "lost"}
    assert "``lost``" in (ReplicaHealth.__doc__ or "")
    pinned = {row[0].strip("`"): row[2] for row in rows(section(SERVER, "Engines"))[1:]}
    assert pinned == {
        "mistralrs": version("mistralrs"),
        "sglang": sglang.PINNED_VERSION,
        "vllm": vllm.PINNED_VERSION,
        "openai": "",
    }
