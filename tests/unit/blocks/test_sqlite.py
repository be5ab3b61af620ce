import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import pytest

from conduit.blocks import sqlite_execute, sqlite_query
from conduit.errors import SqlError


@dataclass
class Point:
    x: float
    y: float


@dataclass
class Ticket:
    id: int
    urgent: bool
    opened: dt.datetime
    price: Decimal | None
    tags: list[str]
    at: Point | None = None


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "a.db"
    sqlite_execute(path, "create table ticket (id integer primary key, urgent, opened, price, tags, at)")
    return path


def test_typed_values_go_in_as_parameters_and_come_back_as_records(database):
    ticket = Ticket(1, True, dt.datetime(2026, 1, 2, 3, 4), Decimal("9.90"), ["a", "b"], Point(1, 2))
    result = sqlite_execute(
        database,
        "insert into ticket values (?, ?, ?, ?, ?, ?)",
        [1, ticket.urgent, ticket.opened, ticket.price, ticket.tags, ticket.at],
    )
    assert (result.rows, result.last_row_id) == (1, 1)
    assert sqlite_query(database, "select * from ticket", row_type=Ticket) == [ticket]


def test_text_that_looks_like_sql_stays_text(database):
    nasty = "'); drop table ticket; --"
    sqlite_execute(database, "insert into ticket (id, tags) values (1, :tags)", {"tags": nasty})
    assert sqlite_query(database, "select tags from ticket where tags = ?", [nasty]) == [{"tags": nasty}]


def test_many_rows_are_all_there_or_none(database):
    assert (
        sqlite_execute(database, "insert into ticket (id) values (?)", many=[[n] for n in range(100)]).rows
        == 100
    )
    with pytest.raises(SqlError, match="UNIQUE"):
        sqlite_execute(database, "insert into ticket (id) values (?)", many=[[200], [1]])
    assert sqlite_query(database, "select count(*) from ticket", row_type=int) == [100]


@pytest.mark.parametrize(
    "sql", ["insert into ticket (id) values (1) returning id", "delete from ticket", "drop table ticket"]
)
def test_a_query_never_writes(database, sql):
    sqlite_execute(database, "insert into ticket (id) values (7)")
    with pytest.raises(SqlError, match="readonly") as caught:
        sqlite_query(database, sql)
    assert "sqlite_execute" in caught.value.hint
    assert sqlite_query(database, "select id from ticket") == [{"id": 7}]


def test_a_query_does_not_make_the_file_that_it_misses(tmp_path):
    with pytest.raises(SqlError, match="unable to open"):
        sqlite_query(tmp_path / "missing.db", "select 1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("selec 1", []),
        ("select 1; select 2", []),
        ("select ?", []),
        ("select ?", [object()]),
        ("select ?", [2**70]),
        ("select ?", ["\ud800"]),
        ("select 1 as a, 2 as a", []),
    ],
)
def test_bad_statements_and_values_are_typed_errors(database, sql, parameters):
    with pytest.raises(SqlError):
        sqlite_query(database, sql, parameters)


def test_a_transaction_left_open_is_an_error_and_not_a_silent_loss(database):
    with pytest.raises(SqlError, match="opened a transaction"):
        sqlite_execute(database, "begin")


def test_a_file_that_is_no_database_is_a_typed_error(tmp_path):
    (tmp_path / "a.db").write_text("just text, and long enough for a header" * 20)
    with pytest.raises(SqlError, match="not a database"):
        sqlite_query(tmp_path / "a.db", "select 1 from sqlite_master")


def test_rows_that_do_not_fit_the_type_name_row_and_field(database):
    sqlite_execute(database, "insert into ticket (id, urgent) values (1, 'perhaps')")
    with pytest.raises(SqlError, match=r"row 0\.urgent"):
        sqlite_query(database, "select * from ticket", row_type=Ticket)


def test_file_names_with_marks_of_uris_are_plain_names(tmp_path):
    path = tmp_path / "a?mode=memory#50%.db"
    sqlite_execute(path, "create table t (a)")
    assert path.exists()
    assert sqlite_query(path, "select * from t") == []
