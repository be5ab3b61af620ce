# ruff: noqa: PT012
"""Blocks in a transaction outside of any flow: what they did is final together or undone together."""

import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from conduit import on_rollback, transaction
from conduit.blocks import (
    duckdb_insert,
    duckdb_query,
    read_file,
    read_jsonl,
    read_table,
    sqlite_execute,
    sqlite_insert,
    sqlite_query,
    write_file,
    write_jsonl,
    write_table,
)
from conduit.errors import DatabaseLocked, FileError, SqlError, TransactionError, TransactionFailed


@dataclass
class Row:
    n: int


class Broken(Exception):
    pass


def everything(folder, n):
    """One change by each block that takes part."""
    write_file(folder / "new" / f"{n}.txt", f"{n}", make_folders=True)
    write_file(folder / "a.txt", f"new {n}")
    write_jsonl(folder / "a.jsonl", [n], append=True)
    write_table(folder / "a.csv", [Row(n)])
    write_table(folder / "parts", [{"n": n, "day": "monday"}], partition_by=["day"], format="parquet")
    sqlite_insert(folder / "a.db", "t", [Row(n)])
    duckdb_insert(folder / "a.duckdb", "t", [Row(n)])


def seen(folder):
    names = sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".wal")
    )
    return (
        names,
        read_file(folder / "a.txt").text,
        read_jsonl(folder / "a.jsonl"),
        read_table(folder / "a.csv", row_type=Row),
        read_table(folder / "parts", row_type=Row),
        sqlite_query(folder / "a.db", "select n from t order by n", row_type=int),
        duckdb_query(folder / "a.duckdb", "select n from t order by n", row_type=int),
    )


@pytest.fixture
def folder(tmp_path):
    everything(tmp_path, 1)
    os.chmod(tmp_path / "a.txt", 0o640)
    return tmp_path


def test_an_error_undoes_what_every_block_did(folder):
    before = seen(folder)
    with pytest.raises(Broken), transaction():
        everything(folder, 2)
        everything(folder, 3)
        raise Broken
    assert seen(folder) == before
    assert (folder / "a.txt").stat().st_mode & 0o777 == 0o640


def test_without_an_error_all_of_it_stays_and_nothing_else(folder):
    with transaction():
        everything(folder, 2)
    names, text, lines, table, parts, sqlite, duckdb = seen(folder)
    assert (text, lines, table, parts) == ("new 2", [1, 2], [Row(2)], [Row(2)])
    assert sqlite == duckdb == [1, 2]
    assert [name for name in names if ".conduit" in name] == []


def test_blocks_within_see_what_those_before_them_did_and_others_do_not(folder):
    with transaction():
        everything(folder, 2)
        assert sqlite_query(folder / "a.db", "select n from t", row_type=int) == [1, 2]
        assert duckdb_query(folder / "a.duckdb", "select n from t", row_type=int) == [1, 2]
        assert read_file(folder / "a.txt").text == "new 2"
        found = []
        # A thread without this context is somebody else.
        thread = threading.Thread(
            target=lambda: found.append(
                [
                    sqlite_query(folder / "a.db", "select n from t", row_type=int),
                    duckdb_query(folder / "a.duckdb", "select n from t", row_type=int),
                ]
            )
        )
        thread.start()
        thread.join(30)
        assert found == [[[1], [1]]]


def test_a_block_that_fails_and_is_forgiven_takes_only_its_own_work_with_it(folder):
    with transaction():
        sqlite_execute(folder / "a.db", "insert into t values (2)")
        with pytest.raises(SqlError):
            sqlite_execute(folder / "a.db", "insert into t values (?)", many=[[3], [4], [None]])
        with pytest.raises(SqlError):
            sqlite_insert(folder / "a.db", "other", [Row(1), Row("x")])
    assert sqlite_query(folder / "a.db", "select n from t", row_type=int) == [1, 2]


def test_a_failed_duckdb_insert_cannot_be_forgiven_and_that_is_said(folder):
    before = seen(folder)
    with pytest.raises(TransactionFailed) as caught, transaction():
        everything(folder, 2)
        with pytest.raises(SqlError):
            duckdb_insert(folder / "a.duckdb", "t", [Row(3), Row("x")])
    assert caught.value.committed == ()
    assert str(folder / "a.duckdb") in caught.value.undone
    assert seen(folder)[:5] == before[:5]
    assert seen(folder)[6] == before[6]


def test_a_statement_cannot_end_the_transaction(folder):
    with pytest.raises(Broken), transaction():
        sqlite_execute(folder / "a.db", "insert into t values (2)")
        for sql in ("commit", "rollback", "begin", "savepoint x", "release conduit"):
            with pytest.raises(SqlError):
                sqlite_execute(folder / "a.db", sql)
        raise Broken
    assert sqlite_query(folder / "a.db", "select n from t", row_type=int) == [1]


def test_a_transaction_within_another_belongs_to_it(folder):
    before = seen(folder)
    with pytest.raises(Broken), transaction():
        with transaction():
            everything(folder, 2)
        raise Broken
    assert seen(folder) == before
    with transaction():
        with pytest.raises(Broken), transaction():
            everything(folder, 2)
            raise Broken
        with pytest.raises(TransactionError, match="rolled back already"):
            write_file(folder / "a.txt", "late")
    assert seen(folder) == before


def test_what_was_submitted_takes_part(folder):
    with pytest.raises(Broken), transaction():
        for future in [
            sqlite_execute.submit(folder / "a.db", "insert into t values (?)", [n]) for n in range(5)
        ]:
            future.result(30)
        raise Broken
    assert sqlite_query(folder / "a.db", "select n from t", row_type=int) == [1]
    with transaction():
        for future in [
            sqlite_execute.submit(folder / "a.db", "insert into t values (?)", [n]) for n in range(5)
        ]:
            future.result(30)
    assert len(sqlite_query(folder / "a.db", "select n from t")) == 6


def test_a_database_held_by_another_is_a_typed_error_and_undoes_the_rest(folder):
    before = seen(folder)
    other = sqlite3.connect(folder / "a.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(DatabaseLocked), transaction():
        write_file(folder / "a.txt", "new")
        sqlite_execute(folder / "a.db", "insert into t values (2)", lock_timeout_s=0.1)
    other.close()
    assert seen(folder) == before


def test_users_undo_what_conduit_knows_nothing_of():
    undone = []

    def work():
        for n in range(3):
            on_rollback(undone.append, n)

    work()
    with transaction():
        work()
    assert undone == []
    with pytest.raises(Broken), transaction():
        work()
        on_rollback(lambda: 1 / 0)
        raise Broken
    assert undone == [2, 1, 0]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_transaction_that_is_killed_leaves_each_file_whole_and_the_databases_as_they_were(folder, moment):
    code = """
import os, sys
from pathlib import Path
from conduit import transaction
from unit.blocks.test_transactions import everything
with transaction():
    everything(Path(sys.argv[1]), 2)
    os.kill(os.getpid(), 9)
""".replace("unit.blocks.test_transactions", "test_transactions")
    if moment == "before":
        code = code.replace("    everything", "    os.kill(os.getpid(), 9)\n    everything")
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n{code}", str(folder)]
    assert subprocess.run(command, timeout=50, check=False).returncode == -9
    names, text, lines, table, parts, sqlite, duckdb = seen(folder)
    assert sqlite == duckdb == [1]
    assert text in ("new 1", "new 2")
    assert lines in ([1], [1, 2])
    assert len(table) == len(parts) == 1
    # What was there before is beside what replaced it.
    kept = [name for name in names if name.endswith(".before")]
    assert len(kept) == (4 if moment == "after" else 0)


def test_a_file_that_cannot_be_written_undoes_the_rest(folder):
    before = seen(folder)
    with pytest.raises(FileError), transaction():
        everything(folder, 2)
        write_file(folder / "parts", "a folder is there")
    assert seen(folder) == before
