"""The page on attached servers: its first example, on a server that speaks OpenAI's routes where Ollama would."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit import settings
from conduit.lmlite import down
from conduit.store import open_store
from support.command_line import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ollama.md").read_text()
OLLAMA = "http://127.0.0.1:11434/v1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of its OpenAI routes."""
    announce = tmp_path / "announce.json"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, ROOT / "tests" / "support" / "stand_in_engine.py", "llama3.2"),
                *("--served-model-name", "llama3.2", "--max-model-len", "4096"),
                *("--host", "127.0.0.1", "--port", "0", "--announce", announce),
            ],
            env=dict(os.environ),
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: announce.exists() or process.poll() is not None, "the server is up", 40)
        yield f"http://127.0.0.1:{json.loads(announce.read_text())['port']}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(150)
def test_the_example_asks_the_server_that_runs_already(server: str, tmp_path: Path) -> None:
    first = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    assert OLLAMA in first
    file = tmp_path / "attached.py"
    file.write_text(first.replace(OLLAMA, server))
    spec = importlib.util.spec_from_file_location("attached", file)
    assert spec is not None
    assert spec.loader is not None
    example = sys.modules["attached"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(example)
        assert isinstance(example.read_ticket("Where is my parcel?"), example.Ticket)
        [call] = open_store(settings.load()).model_calls(limit=5)
        assert (call.model_id, call.error) == ("llama3.2", None)
    finally:
        down(settings.load())
        del sys.modules["attached"]
