"""``conduit check`` as a process: nothing starts, nothing connects, and what cannot be checked is said so."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_examples import CodeExample, find_examples

from support.checked_files import FAULTS, SUPPORT, seeded

ROOT = SUPPORT.parents[1]
CONDUIT = Path(sys.executable).with_name("conduit")
HEAD = "from prefect import flow\n\nfrom conduit import LMLite, block\n\n"


def check(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CONDUIT, "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env={**os.environ, **variables},
    )


def named(stem: str) -> Path:
    return next(path for path in FAULTS if path.stem == stem)


def test_it_prints_like_a_linter_and_ends_with_one():
    path = named("record_for_text")
    ran = check(path)
    line, _ = seeded(path)[0]
    first, hint, last = ran.stdout.splitlines()
    assert first == (
        f"{path}:{line}:22: error check.edge_type: split(page) takes str, and gets HttpResponse."
    )
    assert hint == "    A field of it fits: .url, .text."
    assert last == "1 file, 1 flow: 1 error, 0 warnings"
    assert ran.returncode == 1


def test_a_sound_flow_ends_with_zero_and_a_warning_does_only_when_strict():
    assert check(ROOT / "flows" / "inbox.py").returncode == 0
    path = named("task_for_each_item")
    assert [check(path).returncode, check(path, "--strict").returncode] == [0, 1]


def test_json_is_one_document_with_every_finding():
    path = named("failures_go_on")
    ran = check(path, ROOT / "flows" / "inbox.py", "--json")
    document = json.loads(ran.stdout)
    assert (document["ok"], document["files"], document["flows"], document["errors"]) == (False, 2, 2, 1)
    (found,) = document["findings"]
    assert (found["line"], found["code"]) == seeded(path)[0]
    assert (found["file"], found["severity"]) == (str(path), "error")
    assert ran.returncode == 1


def test_a_flow_that_runs_when_it_is_imported_does_not_run():
    path = named("runs_at_import")
    document = json.loads(check(path, "--json").stdout)
    assert [(found["line"], found["code"]) for found in document["findings"]] == seeded(path)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("x = (1,\n\n", 1, "SyntaxError"),
        ("import nothing_of_that_name\n", 1, "No module named 'nothing_of_that_name'"),
        ("x = 1\ny = x.z\n", 2, "AttributeError"),
        (HEAD + "lm = LMLite('conduit/tiny', replicas=0)\n", 5, "replicas must be a whole number"),
        (HEAD + "@block(retry=3)\ndef f(x: int) -> int:\n    return x\n", 5, "has no option 'retry'"),
        ("raise SystemExit(3)\n", 1, "ends the process"),
    ],
)
def test_a_file_that_does_not_import_is_a_finding_with_its_line_and_no_traceback(tmp_path, text, line, told):
    path = tmp_path / "broken.py"
    path.write_text(text)
    ran = check(path)
    assert ran.stdout.startswith(f"{path}:{line}:")
    assert "error check.import" in ran.stdout
    assert told in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.returncode == 1


@pytest.mark.parametrize(
    ("text", "limit_s", "told"),
    [
        ("import threading\nthreading.Event().wait()\n", 5, "within 5 s"),
        ("import os\nos._exit(7)\n", 50, "ended with code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", 50, "ended of SIGKILL"),
    ],
)
def test_a_file_that_hangs_or_dies_could_not_be_checked(tmp_path, text, limit_s, told):
    path = tmp_path / "worse.py"
    path.write_text(text)
    ran = check(path, "--time-limit", limit_s)
    assert told in ran.stderr
    assert ran.returncode == 2


def test_a_file_of_a_package_is_imported_as_such_and_named_as_it_was(tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "http.py").write_text(
        HEAD + "from .texts import TEXT\n\n\n@block\ndef f(x: int) -> int:\n    return x\n\n\n"
        "@flow\ndef late() -> int:\n    return f(TEXT) + f('seven')\n"
    )
    (package / "texts.py").write_text("import http.client\n\nTEXT = '7'\n")
    ran = subprocess.run(
        [CONDUIT, "check", "mine/http.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ran.stdout.splitlines()[0::2][:2] == [
        (
            "mine/http.py:15:14: warning check.edge_partly: "
            "f(x) takes int, and gets str: only some of its values pass."
        ),
        "mine/http.py:15:24: error check.edge_type: f(x) takes int, and gets the str 'seven'.",
    ], ran.stderr


def test_no_such_file_and_no_such_flow_could_not_be_checked(tmp_path):
    assert check(tmp_path / "none.py").returncode == 2
    ran = check(f"{ROOT / 'flows' / 'inbox.py'}:outbox")
    assert "There is no flow outbox" in ran.stderr
    assert "inbox" in ran.stderr
    assert ran.returncode == 2


def test_nothing_is_reached_and_nothing_is_started(tmp_path):
    """A server of this machine sees no connection, and no record is made, whatever the file does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen: list[object] = []

        def accept() -> None:
            try:
                seen.append(server.accept())
            except OSError:
                return

        watcher = threading.Thread(target=accept, daemon=True)
        watcher.start()
        port = server.getsockname()[1]
        path = tmp_path / "eager.py"
        path.write_text(
            HEAD
            + "import socket\n"
            + "from conduit.runtime import LMLiteBlock\n"
            + "lm = LMLiteBlock('conduit/tiny')\n\n"
            + "@flow\ndef later(text: str) -> str:\n    return text\n\n"
            + f"socket.create_connection(('127.0.0.1', {port}))\n"
        )
        ran = check(path, "--json", CONDUIT_DATA_DIR=str(tmp_path / "data"))
        server.shutdown(socket.SHUT_RDWR)
        watcher.join(timeout=10)
    document = json.loads(ran.stdout)
    assert [found["code"] for found in document.get("findings", [])] == ["check.runs_at_import"], document
    assert document["flows"] == 1
    assert seen == []
    assert not list((tmp_path / "data").rglob("*.db"))


FAULTY = "def tickets(url: str)"
"""Stands in the one example that is wrong on purpose."""
EXAMPLES = [
    example
    for example in find_examples(str(ROOT / "README.md"), str(ROOT / "docs"))
    if any(word in example.source for word in ("@block", ".block", "@flow")) and FAULTY not in example.source
]


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=lambda example: f"{Path(example.path).stem}-{example.start_line}"
)
def test_the_documentations_own_flows_are_left_alone(example: CodeExample, tmp_path):
    path = tmp_path / "example.py"
    path.write_text(example.source)
    ran = check(path, "--strict")
    assert ran.stdout.splitlines()[:-1] == []
    assert ran.returncode == 0, ran.stderr
