import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pytest

from conduit.blocks import duckdb_insert, duckdb_query, sqlite_execute, sqlite_query
from conduit.errors import DatabaseLocked, SqlError


@dataclass
class Row:
    n: int


@contextmanager
def holding(code):
    """A second process that has run ``code``, says so, and holds what it opened until told to go."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('held', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.communicate("\n", timeout=30)


def duckdb_holder(path):
    return holding(f"import duckdb; connection = duckdb.connect({str(path)!r})")


def test_a_duckdb_file_held_by_another_process_names_its_pid(tmp_path):
    path = tmp_path / "a.duckdb"
    duckdb_insert(path, "t", [Row(1)])
    with duckdb_holder(path) as holder:
        for call in (
            lambda: duckdb_insert(path, "t", [Row(2)], lock_timeout_s=0.2),
            lambda: duckdb_query(path, "from t", lock_timeout_s=0),
        ):
            with pytest.raises(DatabaseLocked, match=f"process {holder.pid}") as caught:
                call()
            assert caught.value.holder_pid == holder.pid
            assert "lock_timeout_s" in caught.value.hint
    assert duckdb_query(path, "from t") == [{"n": 1}]


def test_a_duckdb_file_that_is_given_back_in_time_is_waited_for(tmp_path):
    path = tmp_path / "a.duckdb"
    duckdb_insert(path, "t", [Row(1)])
    with duckdb_holder(path) as holder:
        release = threading.Timer(0.3, lambda: (holder.stdin.write("\n"), holder.stdin.flush()))
        release.start()
        assert duckdb_insert(path, "t", [Row(2)], lock_timeout_s=30).rows == 1
        release.join()
    assert duckdb_query(path, "select count(*) from t", row_type=int) == [2]


def test_threads_that_read_and_write_one_duckdb_file_all_succeed(tmp_path):
    path = tmp_path / "a.duckdb"
    errors = []

    def work(n):
        try:
            duckdb_insert(path, "t", [Row(n)], lock_timeout_s=30)
            assert {"n": n} in duckdb_query(path, "from t", lock_timeout_s=30)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert errors == []
    assert sorted(duckdb_query(path, "select n from t", row_type=int)) == list(range(12))


def test_a_query_reads_beside_a_writer_of_its_own_process_and_still_cannot_write(tmp_path):
    path = tmp_path / "a.duckdb"
    duckdb_insert(path, "t", [Row(1)])
    with duckdb.connect(str(path)):
        assert duckdb_query(path, "from t", row_type=Row) == [Row(1)]
        with pytest.raises(SqlError):
            duckdb_query(path, "with x as (insert into t values (2) returning n) select * from x")
    assert duckdb_query(path, "select count(*) from t", row_type=int) == [1]


def test_an_insert_that_is_killed_leaves_the_table_as_it_was(tmp_path):
    path = tmp_path / "a.duckdb"
    duckdb_insert(path, "t", [Row(1)])
    code = f"""
import os
import conduit.blocks.duckdb as module
from conduit.blocks import duckdb_insert
module.BATCH_ROWS = 10
real = module._column_text
def text(column, rows, first):
    if first == 50:
        os.kill(os.getpid(), 9)
    return real(column, rows, first)
module._column_text = text
duckdb_insert({str(path)!r}, "t", [{{"n": n}} for n in range(100)])
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=50, check=False).returncode == -9
    assert duckdb_query(path, "from t") == [{"n": 1}]


def test_a_sqlite_file_locked_by_another_process_is_a_typed_error(tmp_path):
    path = tmp_path / "a.db"
    sqlite_execute(path, "create table t (n)")
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}, isolation_level=None); c.execute('begin exclusive')"
    with holding(code):
        with pytest.raises(DatabaseLocked, match=r"0\.1 s"):
            sqlite_execute(path, "insert into t values (1)", lock_timeout_s=0.1)
        with pytest.raises(DatabaseLocked):
            sqlite_query(path, "select * from t", lock_timeout_s=0)
    assert sqlite_execute(path, "insert into t values (1)").rows == 1


def test_sqlite_rows_of_many_processes_are_all_there(tmp_path):
    path = tmp_path / "a.db"
    sqlite_execute(path, "create table t (n)")
    code = (
        "import sys; from conduit.blocks import sqlite_execute\n"
        f"for n in range(20): sqlite_execute({str(path)!r}, 'insert into t values (?)', [n], lock_timeout_s=30)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(50) for process in processes] == [0, 0, 0]
    assert sqlite_query(path, "select count(*) from t", row_type=int) == [60]
    with sqlite3.connect(path) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
