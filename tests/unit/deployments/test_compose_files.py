"""The compose files: what `docker compose config` would find, and what it would not."""

import re
from importlib.metadata import entry_points

import pytest
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from conduit import settings
from support import compose

FILES = ("prefect-server.yaml", "worker-and-simulator.yaml")
ROOT = compose.FOLDER.parents[1]
OF_IMAGES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
OF_FLOWS = set(re.findall(r'os\.environ\.get\("(\w+)"', (ROOT / "flows" / "nightly_tickets.py").read_text()))


def services():
    return [
        pytest.param(name, service, id=f"{name}-{service}")
        for name in FILES
        for service in compose.read(name)["services"]
    ]


def names_of(model):
    """The environment variables of a tree of Prefect's settings."""
    found = set()
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
            found |= names_of(field.annotation)
            continue
        found.add(f"{model.model_config['env_prefix']}{name}".upper())
        if isinstance(field.validation_alias, AliasChoices):
            found |= {choice.upper() for choice in field.validation_alias.choices if isinstance(choice, str)}
    return found


def known_variables():
    from prefect.settings import Settings
    from prefect_redis.client import RedisMessagingSettings

    ours = {name for field in settings.Settings.model_fields for name in settings.variables(field)}
    return names_of(Settings) | names_of(RedisMessagingSettings) | ours | OF_IMAGES | OF_FLOWS


@pytest.mark.parametrize(("file", "name"), services())
def test_an_image_has_a_full_version(file, name):
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?(-[\w.]+)?", compose.read(file)["services"][name]["image"])


def test_prefects_image_is_of_the_version_that_is_tested_here():
    import prefect

    images = [service["image"] for service in compose.read("prefect-server.yaml")["services"].values()]
    assert {i for i in images if i.startswith("prefecthq/")} == {
        f"prefecthq/prefect:{prefect.__version__}-python3.11"
    }


@pytest.mark.parametrize(("file", "name"), services())
def test_ports_are_open_to_this_machine_alone(file, name):
    for port in compose.read(file)["services"][name].get("ports", ()):
        assert port.startswith("127.0.0.1:"), port


@pytest.mark.filterwarnings("ignore")  # Prefect's own modules, at their import
@pytest.mark.parametrize(("file", "name"), services())
def test_every_variable_means_something_to_what_reads_it(file, name):
    assert set(compose.read(file)["services"][name].get("environment", {})) - known_variables() == set()


@pytest.mark.parametrize(("file", "name"), services())
def test_every_command_begins_with_a_program_of_the_image(file, name):
    command = compose.read(file)["services"][name].get("command")
    if command is None:
        assert name == "postgres"
        return
    programs = {script.name for script in entry_points(group="console_scripts")}
    assert command[0] in programs | {"sh"}


@pytest.mark.parametrize("file", FILES)
def test_secrets_come_from_the_environment_and_none_is_in_the_file(file):
    example = {
        line.split("=")[0]
        for line in (compose.FOLDER / "example.env").read_text().splitlines()
        if "=" in line
    }
    assert compose.variables(file) - {"PREFECT_API_URL"} <= example
    for service in compose.read(file)["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|AUTH|SECRET|TOKEN|_KEY$|CONNECTION_URL|MESSAGING_URL|DOCKET_URL", name):
                assert ":?" in value, f"{name} has to be asked for"
    with_value = [
        line for line in (compose.FOLDER / "example.env").read_text().splitlines() if re.match(r"\w+=.", line)
    ]
    assert with_value == []


@pytest.mark.parametrize("file", FILES)
def test_who_waits_for_health_waits_for_something_that_tells_it(file):
    content = compose.read(file)
    for service in content["services"].values():
        for name, wait in service.get("depends_on", {}).items():
            assert name in content["services"]
            assert (wait["condition"] == "service_healthy") == ("healthcheck" in content["services"][name])
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in content["volumes"]


def test_the_workers_image_has_what_its_commands_need():
    lines = (compose.FOLDER / "worker.Dockerfile").read_text().splitlines()
    copied = [
        word
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    ]
    for path in copied:
        assert path.startswith("--") or (ROOT / path).exists(), path
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:0"]
    for base in (line.split()[1] for line in lines if line.startswith("FROM")):
        assert re.search(r":\d+\.\d+\.\d+", base)
