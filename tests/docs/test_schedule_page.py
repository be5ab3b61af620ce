"""The page on schedules: its commands, as they stand and in their order, in a copy of the flows."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from support import compose
from support.prefect_commands import free_port, healthy, started

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "schedule.md").read_text()
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)
GOES_ON = ("prefect server start", "prefect worker start")
DONE = re.compile("completed", re.IGNORECASE)


def test_what_docker_is_told_exists():
    """Docker itself is not needed here: what the files start runs in the tests of the deployments."""
    for line in (line for line in COMMANDS if line.startswith("docker")):
        words = line.split()
        path = ROOT / words[words.index("--file") + 1]
        assert path.parent == compose.FOLDER
        content = compose.read(path.name)
        if "exec" in words:
            assert words[words.index("exec") + 1] in content["services"]


def test_the_entry_on_the_page_is_that_of_the_file():
    [block] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    entries = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
    [entry] = yaml.safe_load(block)
    assert entry in entries


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_commands_work_as_they_stand(tmp_path, monkeypatch):
    copy, port = tmp_path / "copy", free_port()
    for name in ("flows", "deployments"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "prefect.yaml", copy / "prefect.yaml", follow_symlinks=False)
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "CONDUIT_"))}
    environment = inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "CONDUIT_DATA_DIR": str(tmp_path / "data"),
    }
    environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    # The page's port is taken by whoever else runs a server here.
    environment["PREFECT_SERVER_API_PORT"] = str(port)
    said = {}
    with ExitStack() as background:
        for line in COMMANDS:
            command = line.replace("4200", str(port))
            if line.startswith("docker"):
                continue
            if line.startswith(GOES_ON):
                log = tmp_path / f"{len(said)}.log"
                process = background.enter_context(
                    started(command.split(), cwd=copy, log=log, environment=environment)
                )
                if "server" in line:
                    healthy(f"http://127.0.0.1:{port}/api", process, log)
                continue
            if line.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                environment[name] = value
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[line] = done.stdout
    watched = [text for line, text in said.items() if "--watch" in line]
    assert len(watched) == 2
    assert all(DONE.search(text) for text in watched)
    assert "30 2 * * *" in said["prefect deployment schedule ls nightly-tickets/nightly"]
    assert "2 of 2 replicas" in said["conduit status"]
    assert said["conduit runs"].count("completed") == 2
    assert (copy / "nights.duckdb").exists()
    assert (copy / "other.duckdb").exists()
