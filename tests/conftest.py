"""What holds for all tests: bounded hypothesis runs, a data folder of their own, and no process left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")

# Not CONDUIT_...: replicas do not inherit those.
_MARK = "PYTEST_OF_CONDUIT"
_GRACE_S = 15.0


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[_MARK] = uuid.uuid4().hex
    # For fixtures that outlive a test; each test gets a folder of its own on top.
    os.environ["CONDUIT_DATA_DIR"] = os.environ["CONDUIT_PROJECT"] = tempfile.mkdtemp(prefix="conduit-tests-")
    # A shell has its background jobs ignore Ctrl-C, and all that they start: tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ["CONDUIT_DATA_DIR"], ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The suite's last check: every process that a test started is gone."""
    if hasattr(session.config, "workerinput"):
        return
    deadline = time.monotonic() + _GRACE_S
    while (left := _left()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        lines = "\n".join(f"  {process.pid}: {' '.join(_arguments(process))[:200]}" for process in left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nProcesses that tests left behind:\n{lines}")
        for process in left:
            process.kill()


def _left() -> list[psutil.Process]:
    own = {os.getpid(), *(child.pid for child in psutil.Process().children() if _is_worker(child))}
    return [p for p in psutil.process_iter() if p.pid not in own and _marked(p)]


def _is_worker(process: psutil.Process) -> bool:
    return any("execnet" in argument for argument in _arguments(process))


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _marked(process: psutil.Process) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(_MARK) == os.environ[_MARK]
    except (psutil.Error, OSError):
        return False


@pytest.fixture(autouse=True)
def own_data_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Each test has records, nodes and a project of its own, and no variable of the user's."""
    folder = tmp_path_factory.mktemp("conduit")
    for name in [name for name in os.environ if name.startswith(("CONDUIT_", "RUNPOD_", "HF_TOKEN"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONDUIT_DATA_DIR", str(folder))
    monkeypatch.setenv("CONDUIT_PROJECT", str(folder))
    yield folder
    if (folder / "cache").exists():
        from conduit.dataflow.caching import close

        close()
    if (folder / "conduit.db").exists():
        from conduit.store import opening

        for (url, *_), store in tuple(opening._open.items()):
            if str(folder) in url:
                store.close()
