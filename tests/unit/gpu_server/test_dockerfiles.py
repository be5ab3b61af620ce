"""The images: hadolint's main rules, and versions that are those of the lock and of the engines."""

import io
import json
import re
import tomllib
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from gpu_server.engines import sglang

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "gpu_server"
FILES = sorted(FOLDER.glob("Dockerfile*"))


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def steps(request):
    """The instructions of one file, as (word, arguments), comments left out."""
    parser = DockerfileParser(fileobj=io.BytesIO(request.param.read_bytes()))
    return [(s["instruction"], s["value"]) for s in parser.structure if s["instruction"] != "COMMENT"]


def of(steps, word):
    return [value for instruction, value in steps if instruction == word]


def stages(steps):
    """The stages by name, in order; the last one has none."""
    found = {}
    for word, value in steps:
        if word == "FROM":
            found[value.partition(" AS ")[2]] = current = []
        current.append((word, value))
    return found


def test_there_is_an_image_with_a_gpu_and_one_without():
    assert [path.name for path in FILES] == ["Dockerfile", "Dockerfile.cpu"]


def test_base_images_have_a_full_version(steps):
    for base in of(steps, "FROM"):
        if base.partition(" AS ")[0] in stages(steps):
            continue
        assert re.match(r"\S+:v?\d+\.\d+\.\d+\S*( AS \w+)?$", base), base


def test_the_process_is_not_root_and_belongs_to_group_0(steps):
    for stage in stages(steps).values():
        for last in of(stage, "USER")[-1:]:
            user, group = last.split(":")
            assert int(user) >= 1000
            assert group == "0"
    assert of(stages(steps)["server"], "USER")


def test_without_a_target_it_is_the_server(steps):
    *_, last = stages(steps).values()
    assert last == [("FROM", "server")]


def test_the_worker_is_the_server_with_runpods_sdk_and_another_entry_point(steps):
    worker = stages(steps)["serverless"]
    assert worker[0] == ("FROM", "server AS serverless")
    [entry] = of(worker, "ENTRYPOINT")
    assert json.loads(entry)[1] == "serverless"
    assert "conduit-gpu-server" in json.loads(entry)[0]
    assert of(worker, "HEALTHCHECK") == ["NONE"], "it listens on no port that is known before"


def test_folders_are_absolute_and_nothing_is_added_from_elsewhere(steps):
    assert all(folder.startswith("/") for folder in of(steps, "WORKDIR"))
    words = {word for word, _ in steps}
    assert "WORKDIR" in words
    assert not words & {"ADD", "MAINTAINER", "ONBUILD"}


def test_there_is_one_entry_point_and_one_health_check_in_exec_form(steps):
    last = stages(steps)["server"]
    [entry] = of(last, "ENTRYPOINT")
    assert json.loads(entry) == ["conduit-gpu-server", "--host", "0.0.0.0", "--port", "8000"]
    assert of(last, "CMD") == []
    [check] = of(last, "HEALTHCHECK")
    flags, _, command = check.partition(" CMD ")
    assert json.loads(command) == ["conduit-gpu-server", "--is-live", "--port", "8000"]
    assert {"--interval", "--timeout", "--start-period", "--retries"} == {
        f.split("=")[0] for f in flags.split()
    }
    assert of(last, "EXPOSE") == ["8000"]
    assert json.loads(of(last, "VOLUME")[0]) == ["/models"]


def test_commands_keep_no_caches_and_need_no_shell_tricks(steps):
    for command in of(steps, "RUN"):
        for part in re.split(r"&&|;", command):
            assert not re.search(r"\b(sudo|cd|apt|latest)\b", part), part
            assert "|" not in part, "a pipe hides a failure; SHELL with pipefail comes first"
            if "apt-get install" in part:
                assert "--no-install-recommends" in part
                assert re.search(r"=\d", part)
                assert "rm -rf /var/lib/apt/lists" in command
            if "pip install" in part:
                assert "--no-cache-dir" in part
                assert "--constraint" in part, "versions come from a list"


def test_no_secret_is_baked_in(steps):
    for word, value in steps:
        if word in ("ARG", "ENV"):
            assert not re.search(r"(TOKEN|KEY|SECRET|PASSWORD)\w*\s*=", value, re.IGNORECASE), value


def test_only_what_exists_and_is_sent_is_copied(steps):
    sent = {
        line.removeprefix("!")
        for line in (FOLDER / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for value in of(steps, "COPY"):
        if not value.startswith("--from"):
            *sources, _ = value.split()
            assert set(sources) <= sent
            assert all((FOLDER / source).exists() for source in sources)


def test_the_image_has_the_sglang_that_the_engine_is_written_for():
    text = (FOLDER / "Dockerfile").read_text()
    assert f"FROM lmsysorg/sglang:v{sglang.PINNED_VERSION} AS server\n" in text
    assert f"version('sglang') == '{sglang.PINNED_VERSION}'" in text


@pytest.mark.parametrize(
    ("name", "extra"), [("constraints.txt", "mistralrs"), ("constraints-serverless.txt", "serverless")]
)
def test_images_have_the_versions_of_the_lock(name, extra):
    locked = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    lines = (FOLDER / name).read_text().splitlines()
    pinned = dict(line.split(";")[0].strip().split("==") for line in lines if not line.startswith("#"))
    assert {name: locked.get(name) for name in pinned} == pinned, "make constraints writes it anew"
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    assert {re.match(r"[\w-]+", want)[0] for want in wanted} <= set(pinned), "make constraints writes it anew"
