"""Blocks in Prefect's transactions, with a real server: the promises of the plain form hold in flows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

import conduit
from conduit import block, on_rollback
from conduit.blocks import (
    duckdb_insert,
    postgres_execute,
    postgres_insert,
    postgres_query,
    sqlite_execute,
    sqlite_insert,
    sqlite_query,
    write_file,
)
from conduit.errors import SqlError, TransactionError, TransactionFailed

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.timeout(240)]


@dataclass
class Row:
    n: int


class Broken(Exception):
    pass


@pytest.fixture
def table(tmp_path, database):
    """Rows of a SQLite file, of a DuckDB file and of Postgres, and a file, each with a 1 in it."""

    def write(n):
        sqlite_insert(tmp_path / "a.db", "t", [Row(n)])
        duckdb_insert(tmp_path / "a.duckdb", "t", [Row(n)])
        postgres_insert(database, "t", [Row(n)])
        write_file(tmp_path / "a.txt", str(n))

    def read():
        import duckdb

        with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as connection:
            rows = connection.execute("select n from t order by n").fetchall()
        return [
            sqlite_query(tmp_path / "a.db", "select n from t order by n", row_type=int),
            [n for (n,) in rows],
            postgres_query(database, "select n from t order by n", row_type=int),
            (tmp_path / "a.txt").read_text(),
        ]

    write(1)
    return write, read


@pytest.mark.parametrize("whose", ["prefect", "conduit"])
def test_an_error_in_the_transaction_undoes_all_and_the_flow_fails(prefect_server, table, whose):
    from prefect import flow
    from prefect.transactions import transaction

    write, read = table

    @flow
    def shop(fail: bool) -> None:
        with transaction() if whose == "prefect" else conduit.transaction():
            write(2)
            if fail:
                raise Broken

    with pytest.raises(Broken):
        shop(fail=True)
    assert read() == [[1], [1], [1], "1"]
    shop(fail=False)
    assert read() == [[1, 2], [1, 2], [1, 2], "2"]


def test_a_block_by_itself_is_final_when_its_task_ends(prefect_server, table):
    from prefect import flow

    write, read = table

    @flow
    def shop() -> None:
        write(2)
        assert read() == [[1, 2], [1, 2], [1, 2], "2"]
        raise Broken

    with pytest.raises(Broken):
        shop()
    assert read() == [[1, 2], [1, 2], [1, 2], "2"]


def test_submitted_and_nested_blocks_take_part(prefect_server, table, tmp_path):
    from prefect import flow
    from prefect.transactions import transaction

    write, read = table

    @block
    def both(n: int) -> None:
        write(n)

    @flow
    def shop(fail: bool) -> None:
        with transaction():
            for future in [
                sqlite_execute.submit(tmp_path / "a.db", "insert into t values (?)", [n]) for n in (5, 6)
            ]:
                future.result()
            with transaction():
                both(2)
            if fail:
                raise Broken

    with pytest.raises(Broken):
        shop(fail=True)
    assert read() == [[1], [1], [1], "1"]
    shop(fail=False)
    assert read() == [[1, 2, 5, 6], [1, 2], [1, 2], "2"]


def test_a_transaction_within_a_blocks_body_ends_there(prefect_server, table):
    from prefect import flow
    from prefect.transactions import transaction

    write, read = table

    @block
    def sell(fail: bool) -> None:
        with transaction():
            write(2)
            if fail:
                raise Broken

    @flow
    def shop() -> None:
        with pytest.raises(Broken):
            sell(fail=True)
        assert read() == [[1], [1], [1], "1"]
        sell(fail=False)
        assert read() == [[1, 2], [1, 2], [1, 2], "2"]

    shop()


def test_a_commit_that_a_database_refuses_is_no_false_green(prefect_server, table, database, tmp_path):
    from prefect import flow
    from prefect.transactions import transaction

    _, read = table
    postgres_execute(database, "alter table t add unique (n) deferrable initially deferred")

    @flow
    def shop() -> str:
        with transaction():
            sqlite_insert(tmp_path / "b.db", "t", [Row(1)])
            postgres_insert(database, "t", [Row(1)])
            write_file(tmp_path / "a.txt", "new")
        return "went on"

    state = shop(return_state=True)
    assert state.is_failed()
    with pytest.raises(TransactionFailed) as caught:
        state.result()
    assert caught.value.committed == ()
    assert len(caught.value.undone) == 3
    assert sqlite_query(tmp_path / "b.db", "select name from sqlite_master") == []
    assert read() == [[1], [1], [1], "1"]


def test_a_block_that_fails_half_way_and_is_retried_leaves_no_half(prefect_server, table, database):
    from prefect import flow
    from prefect.transactions import transaction

    attempts = []

    @block(retries=1)
    def twice() -> None:
        postgres_insert(database, "t", [Row(2)])
        attempts.append(1)
        if len(attempts) == 1:
            postgres_insert(database, "t", [Row(3), {"n": 4}])

    @flow
    def shop() -> None:
        with transaction():
            twice()

    shop()
    # The block within that was done stays done, and the retry does it again; the one that failed left nothing.
    assert postgres_query(database, "select n from t order by n", row_type=int) == [1, 2, 2]


def test_an_error_that_is_caught_has_undone_the_transaction_all_the_same(prefect_server, table, database):
    from prefect import flow
    from prefect.transactions import transaction

    write, read = table

    @flow
    def shop() -> None:
        with transaction():
            write(2)
            with pytest.raises(SqlError):
                postgres_execute(database, "select 1 / 0")
            with pytest.raises(TransactionError, match="rolled back"):
                write(3)
            raise Broken

    with pytest.raises(Broken):
        shop()
    assert read() == [[1], [1], [1], "1"]


def test_asynchronous_transactions_and_users_own_undoing(prefect_server, table):
    from prefect import flow
    from prefect.transactions import atransaction

    write, read = table
    undone = []

    @block
    async def order(n: int) -> int:
        on_rollback(undone.append, n)
        return n

    @flow
    async def shop(fail: bool) -> None:
        async with atransaction():
            await order(1)
            await order(2)
            await asyncio.to_thread(write, 2)
            if fail:
                raise Broken

    with pytest.raises(Broken):
        asyncio.run(shop(fail=True))
    assert (undone, read()) == ([2, 1], [[1], [1], [1], "1"])
    asyncio.run(shop(fail=False))
    assert (undone, read()) == ([2, 1], [[1, 2], [1, 2], [1, 2], "2"])


def test_a_block_that_comes_after_the_end_is_refused(prefect_server, table, tmp_path):
    from prefect import flow
    from prefect.transactions import transaction

    @flow
    def shop() -> None:
        with transaction():
            with pytest.raises(Broken), transaction():
                raise Broken
            with pytest.raises(TransactionError, match="rolled back"):
                write_file(tmp_path / "a.txt", "late")

    shop()
    assert (tmp_path / "a.txt").read_text() == "1"


def test_a_block_in_another_process_says_that_it_cannot_take_part(prefect_server, table, tmp_path):
    from distributed import LocalCluster
    from prefect import flow
    from prefect.transactions import transaction
    from prefect_dask import DaskTaskRunner

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:

        @flow(task_runner=DaskTaskRunner(address=cluster.scheduler_address))
        def shop(within: bool) -> None:
            if not within:
                write_file.submit(tmp_path / "a.txt", "2").result()
                return
            with transaction():
                write_file.submit(tmp_path / "a.txt", "3").result()

        shop(within=False)
        with pytest.raises(TransactionError, match="another process"):
            shop(within=True)
    assert (tmp_path / "a.txt").read_text() == "2"
