"""One Postgres server for all tests here, with a new database for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit.store import Store
from support import postgres

# Modules of promises that the unit tests check on SQLite, and files of the same name here on Postgres.
_PROMISES = ("budgets", "costs", "leases", "ledgers", "node_life", "records", "retention", "runs")
pytest.register_assert_rewrite(*(f"unit.store.test_{name}" for name in _PROMISES))


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no Postgres found: apt-get install postgresql")
    with postgres.running(programs) as cluster:
        yield cluster


@pytest.fixture
def url(cluster: postgres.Cluster) -> str:
    return cluster.new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))])
def either_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """For modules that check both kinds here."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'conduit.db'}"
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    return cluster.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()
