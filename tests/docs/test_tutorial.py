"""The tutorial as a newcomer goes through it: its files saved and its commands pasted into one shell, in order.

The shell begins in a fresh copy of this repository, with little more than ``HOME`` and ``PATH`` in its environment.
Two things are not a newcomer's. Packages come from uv's cache of this machine (``UV_CACHE_DIR``), so that a suite
does not download them each time. And the Prefect server is on a free port, since others run here, too.

What the page shows of a command's output must be there in that order; ``…`` on the page stands for anything. What
differs from run to run (ids, names of runs, times, and a model's tokens) counts as equal.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support.command_line import until
from support.prefect_commands import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
LIMIT_S = 280.0
_MARK = "@@ command"


@dataclass(frozen=True)
class Command:
    line: str
    shows: tuple[str, ...]


@dataclass(frozen=True)
class File:
    name: str
    text: str


def steps() -> list[Command | File]:
    """All commands and files of the page, in its order."""
    found: list[Command | File] = []
    for language, title, body in re.findall(
        r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL
    ):
        if title:
            found.append(File(title, body))
        elif language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, *shows = part.splitlines()
                found.append(Command(line, tuple(shows)))
    return found


_DIFFERS = (
    (r"\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "DATE"),
    (r"\b\d+(\.\d+)? ?(ms|s|min)\b", "TIME"),
    (r"\d+ bytes", "SIZE"),
    (r"\d[\d,]* \+ \d+ tokens", "TOKENS"),
    (r"\b\d{1,3}(,\d{3})+\b", "TOKENS"),
    (r"-[0-9a-f]{3}'", "-ID'"),
    (r"'[a-z]+-[a-z]+'", "NAME"),
    (r"^(run: +)?[a-z]+-[a-z]+(?= [(I])", "NAME"),
    (r":4200\b", ":PORT"),
)


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, word in _DIFFERS:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def missing(shown: tuple[str, ...], said: str) -> str | None:
    """The first line of the page that the command did not say after the one before it."""
    rest = iter([plain(line) for line in said.splitlines()])
    for line in shown:
        parts = [re.escape(part.strip()) for part in plain(line).split("…")]
        if not any(parts):
            continue
        pattern = re.compile(".*".join(parts))
        if not any(pattern.fullmatch(candidate) for candidate in rest):
            return line
    return None


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone of the working tree would hold: files that git knows, or would with ``git add``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    copy = tmp_path / "conduit"
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The newcomer's, and the end of all that was started in it."""
    path = os.environ["PATH"].split(os.pathsep)
    own = os.environ.get("VIRTUAL_ENV")
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True)
    bare = {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join(part for part in path if own is None or not part.startswith(own)),
        "UV_CACHE_DIR": cache.stdout.strip(),
        "PREFECT_SERVER_API_PORT": str(free_port()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "COLUMNS": "120",
        "PYTEST_OF_CONDUIT": os.environ["PYTEST_OF_CONDUIT"],
    }
    yield bare
    left = list(_of(tmp_path))
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=20)


def _of(home: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("HOME") == str(home):
                yield process


@pytest.mark.timeout(LIMIT_S + 60)
def test_a_newcomer_gets_through_it(clone: Path, environment: dict[str, str], tmp_path: Path) -> None:
    port = environment["PREFECT_SERVER_API_PORT"]
    script, commands = [], []
    for number, step in enumerate(steps()):
        if isinstance(step, File):
            saved = tmp_path / f"{number}.saved"
            saved.write_text(step.text)
            script.append(f"cp {saved} {step.name}")
        else:
            commands.append(step)
            script += [f"echo '{_MARK}'", step.line.replace("4200", port)]
            if not step.line.endswith("&"):
                script.append(f"echo '{_MARK}' ended with $?")
    (tmp_path / "pasted.sh").write_text("\n".join(script))

    with (tmp_path / "said.txt").open("w") as output:
        shell = subprocess.Popen(
            ["bash", str(tmp_path / "pasted.sh")],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        shell.wait(LIMIT_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)

    said = (tmp_path / "said.txt").read_text().replace(f":{port}", ":4200")
    parts = re.split(rf"^{_MARK}\n", said, flags=re.MULTILINE)[1:]
    assert len(parts) == len(commands), said[-6000:]
    for command, part in zip(commands, parts, strict=True):
        text, _, code = part.partition(f"{_MARK} ended with ")
        assert code.strip() in ("", "0"), f"$ {command.line}\n{part}"
        absent = missing(command.shows, text)
        assert absent is None, f"$ {command.line}\nis not said: {absent}\n{plain(absent or '')}\n{text}"

    until(lambda: not [p for p in _of(tmp_path) if p.is_running()], "all that was started has ended", 30)


def test_the_page_has_what_the_test_looks_for() -> None:
    """Were the page written in another form, nothing of it would be tried."""
    found = steps()
    assert {step.name for step in found if isinstance(step, File)} == {"tickets.py", "test_tickets.py"}
    assert PAGE.count("\n$ ") == sum(isinstance(step, Command) for step in found) > 20


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (("calls: 8: 8 done, 0 failed, 6 cached",), "calls: 8: 8 done, 0 failed, 0 cached"),
        (("one", "two"), "two\none"),
        (("first …, last",), "first, middle"),
        (("{'topic': 'return'}",), "{'topic': 'cancel'}"),
    ],
)
def test_other_output_than_the_page_shows_is_noticed(shown: tuple[str, ...], said: str) -> None:
    assert missing(shown, said) is not None


def test_what_differs_from_run_to_run_is_equal() -> None:
    shown = ("run:  calm-fox (a6cbb19b-5e86-458b-9482-839c8a3c2e64)", "6 calls, 980 + 162 tokens, p50 2.22 s")
    said = "run: wise-owl (00f1f615-8e8b-4e88-b91d-de7601de31d5)\n6 calls, 981 + 99 tokens, p50 20 ms"
    assert missing(shown, said) is None
