"""A store on a new SQLite file. The tests beside this file run on Postgres, too, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from conduit.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'conduit.db'}"


@pytest.fixture
def store(url: str):
    store = Store(url)
    yield store
    store.close()
