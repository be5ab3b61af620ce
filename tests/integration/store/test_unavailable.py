"""A Postgres that cannot be used, and a SQLite file that others hold, are one typed error without a password."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from conduit.errors import StoreUnavailable
from conduit.store import ModelCall, Store, migrations
from conduit.store.database import Database
from support import postgres

needs_postgres = pytest.mark.xdist_group("postgres")


def refused(url: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        Store(url)
    shown = "".join(traceback.format_exception(caught.value))
    assert postgres.PASSWORD not in shown
    assert "hunter2" not in shown
    return caught.value


@needs_postgres
def test_a_wrong_password_a_missing_database_and_a_server_that_is_down(
    cluster: postgres.Cluster, tmp_path: Path
):
    assert "password" in refused(cluster.url("postgres", password="hunter2")).message
    assert "nowhere" in refused(cluster.url("nowhere")).message
    down = refused(f"postgresql://me:hunter2@/conduit?host={tmp_path}&password={postgres.PASSWORD}")
    assert "CONDUIT_DB_URL" in str(down.hint)


@needs_postgres
def test_a_user_who_may_make_no_tables_is_told_so(cluster: postgres.Cluster):
    url = cluster.new_database()
    database = url.split("/")[3].split("?")[0]
    with cluster.connect(database) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'hunter2'")
    error = refused(url.replace(f"postgres:{postgres.PASSWORD}", "reader:hunter2"))
    assert "permission denied" in error.message
    assert "make tables" in str(error.hint)


@needs_postgres
def test_connections_that_the_server_dropped_are_made_anew(cluster: postgres.Cluster):
    with closing(Store(cluster.new_database())) as store:
        store.log_call(ModelCall(1.0, "m"))
        assert store.model_calls()
        with cluster.connect("postgres") as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
            connection.execute(others)
        assert len(store.model_calls()) == 1


def test_a_file_that_another_program_holds_is_waited_for(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'conduit.db'}"
    with closing(Database(url)) as database, database.write() as connection:
        command.downgrade(migrations.configuration(connection), "0001")
    holder = sqlite3.connect(tmp_path / "conduit.db", isolation_level=None, check_same_thread=False)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.5, holder.rollback)
        release.start()
        with closing(Store(url)) as store:  # is brought up as soon as it is free
            assert store.model_calls() == []
        release.join()


def test_a_file_that_stays_held_or_is_damaged_midway_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("conduit.store.connecting.LOCK_WAIT_S", 0.2)
    file = tmp_path / "conduit.db"
    url = f"sqlite:///{file}"
    with closing(Database(url)) as database, database.write() as connection:
        command.downgrade(migrations.configuration(connection), "0001")
    holder = sqlite3.connect(file, isolation_level=None)
    with closing(holder):
        holder.execute("BEGIN IMMEDIATE")
        assert "end that program" in str(refused(url).hint)
        holder.rollback()
    data = bytearray(file.read_bytes())
    data[4096:] = b"garbage!" * (len(data[4096:]) // 8)  # the first page, with the names of all tables, stays
    file.write_bytes(data)
    assert "move it away" in str(refused(url).hint)
    assert file.read_bytes() == bytes(data)
