"""`conduit cache`: what is kept, and its removal."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest
from typer.testing import CliRunner

from conduit.cli.app import app
from conduit.dataflow import caching
from conduit.settings import load


@pytest.fixture
def shelf(monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    return caching.open_shelf(load())


@pytest.fixture
def filled(shelf, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 7200)
    shelf.put("a" * 64, "inbox:triage", b"1" * 1000)
    monkeypatch.setattr(time, "time", lambda: now)
    shelf.put("b" * 64, "inbox:triage", b"1" * 1000)
    shelf.put("c" * 64, "pages:read", b"1" * 50_000)
    shelf.get("c" * 64)
    return shelf


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["cache", *arguments])
    assert result.exit_code == code, result.output
    return result


def document(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_an_empty_cache_says_how_it_is_filled(shelf):
    assert "@block(cache=True)" in run("ls").stdout
    assert document("ls")["blocks"] == []


def test_a_row_a_block(filled):
    shown = run("ls").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0] == ["block", "entries", "size", "hits", "oldest", "newest"]
    assert lines[1][:2] == ["pages:read", "1"]
    assert lines[1][4] == "1"
    assert lines[2][:2] == ["inbox:triage", "2"]
    assert "2 h ago" in shown
    assert "of at most 1.1 GB in" in shown
    (only,) = document("ls", "--block", "triage")["blocks"]
    assert (only["block"], only["entries"], only["hits"]) == ("inbox:triage", 2, 0)


def test_clearing_takes_what_was_meant(filled):
    assert document("clear", "--block", "triage", "--older-than", "1h")["entries"] == 1
    assert filled.get("a" * 64) is None
    assert filled.get("b" * 64) is not None
    assert document("clear", "--block", "nobody")["entries"] == 0
    assert "1 results" in run("clear", "--block", "inbox:triage").stdout
    removed = document("clear")
    assert removed["entries"] == 1
    assert removed["bytes"] > 50_000
    assert document("ls")["blocks"] == []


def test_a_time_that_is_none_is_refused_and_removes_nothing(filled):
    assert document("clear", "--older-than", "soon", code=1)["error"]["code"] == "model.argument"
    assert len(document("ls")["blocks"]) == 2


def test_a_newer_version_is_a_clear_error(filled):
    caching.close()
    with sqlite3.connect(filled.folder / "index.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    for arguments in (("ls",), ("clear",)):
        error = document(*arguments, code=1)["error"]
        assert error["code"] == "store.cache"
        assert "newer Conduit" in error["message"]
        assert "99" in error["message"]
        assert "Upgrade" in error["hint"]
