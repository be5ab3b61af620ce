"""A process is taken for one of ours only while it is that very process."""

from __future__ import annotations

import sys

import psutil
import pytest

from conduit.compute import processes


class Elsewhere:
    """Stands for a process whose namespaces cannot be looked at."""

    pid = 2**22 + 1


def test_a_path_is_shared_with_ourselves():
    assert processes.shares_files(psutil.Process())


def test_on_linux_no_path_is_shared_with_what_cannot_be_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert not processes.shares_files(Elsewhere())


def test_a_process_that_is_gone_is_not_alive(monkeypatch: pytest.MonkeyPatch):
    process = psutil.Process()
    assert processes.is_alive(process)
    monkeypatch.setattr(process, "is_running", lambda: False)  # its pid is another's now
    assert not processes.is_alive(process)


def test_a_zombie_is_not_alive(monkeypatch: pytest.MonkeyPatch):
    process = psutil.Process()
    monkeypatch.setattr(process, "status", lambda: psutil.STATUS_ZOMBIE)
    assert not processes.is_alive(process)
