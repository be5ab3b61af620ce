import datetime as dt
import enum
import pickle
import threading
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

import psycopg
import pytest
from pydantic import AwareDatetime, BaseModel, Field, SecretStr

from conduit.blocks import postgres_execute, postgres_insert, postgres_query
from conduit.errors import DatabaseLocked, SqlError
from support.postgres import PASSWORD

pytestmark = pytest.mark.xdist_group("postgres")


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Number(enum.Enum):
    ONE = 1


@dataclass
class Place:
    city: str
    zip_code: int | None = None
    since: dt.date | None = None


@dataclass
class Everything:
    id: int
    name: str
    ok: bool
    ratio: float
    raw: bytes
    level: Level
    number: Number
    kind: Literal["a", "b"]
    opened: dt.datetime
    seen: AwareDatetime
    day: dt.date
    clock: dt.time
    took: dt.timedelta
    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2)]
    key: uuid.UUID
    tags: list[str]
    days: list[dt.date]
    place: Place
    places: list[Place]
    counts: dict[str, int]
    extra: dict[str, Any]
    either: int | str
    note: str | None = None
    blobs: list[bytes] = field(default_factory=list)


def one(**changes):
    values = {
        "id": 1, "name": "O'Hara \"x\" \t\\N é\n", "ok": True, "ratio": 0.1, "raw": b"\x00\xff\\x41",
        "level": Level.HIGH, "number": Number.ONE, "kind": "a",
        "opened": dt.datetime(2026, 1, 2, 3, 4, 5, 678901),
        "seen": dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))), "day": dt.date(2026, 2, 3),
        "clock": dt.time(4, 5, 6, 7), "took": dt.timedelta(days=-2, seconds=3, microseconds=4),
        "price": Decimal("123456.78"), "key": uuid.UUID(int=7), "tags": ["x", 'y,"{}'],
        "days": [dt.date(2026, 1, 1)],
        "place": Place("Bonn", 53111, dt.date(2020, 1, 1)), "places": [Place("Ulm"), Place("Jena", 1)],
        "counts": {"a": 1}, "extra": {"deep": [1, {"x": None}]}, "either": "3", "blobs": [b"\x01", b""],
    }  # fmt: skip
    return Everything(**{**values, **changes})


@dataclass
class Row:
    n: int


def test_rows_of_every_kind_of_field_come_back_equal(database):
    rows = [one(), one(id=2, note="n", tags=[], places=[], counts={}, ratio=float("inf"), either=3)]
    result = postgres_insert(database, "everything", rows)
    assert (result.rows, result.created) == (2, True)
    assert postgres_query(database, "select * from everything order by id", row_type=Everything) == rows
    assert postgres_insert(database, "everything", rows[:1]).created is False


def test_the_table_has_the_columns_of_the_row_type(database):
    postgres_insert(database, "Every thing", [one()])
    found = postgres_query(
        database,
        "select column_name, data_type, is_nullable from information_schema.columns where table_name = %s",
        ["Every thing"],
    )
    types = {row["column_name"]: row["data_type"] for row in found}
    assert types["id"] == "bigint"
    assert types["seen"] == "timestamp with time zone"
    assert types["price"] == "numeric"
    assert types["tags"] == types["blobs"] == "ARRAY"
    assert types["place"] == types["places"] == types["extra"] == "jsonb"
    assert [row["column_name"] for row in found if row["is_nullable"] == "YES"] == ["note"]


def test_models_dicts_and_no_rows_are_inserted(database):
    class Model(BaseModel):
        id: int
        tags: set[str]

    postgres_insert(database, "models", [Model(id=1, tags={"a"})])
    assert postgres_query(database, "select * from models", row_type=Model) == [Model(id=1, tags={"a"})]
    postgres_insert(database, "dicts", [{"a": 1, "b": "x"}, {"a": None}])
    assert postgres_query(database, "select * from dicts") == [{"a": 1, "b": "x"}, {"a": None, "b": None}]
    assert postgres_insert(database, "none", []).created is False
    assert postgres_insert(database, "none", [], row_type=Row).created is True


@pytest.mark.parametrize("bad", [one(id=True), one(name="\0"), one(id=2**63), one(place="no")])
def test_an_insert_that_fails_half_way_leaves_nothing(database, bad):
    with pytest.raises(SqlError):
        postgres_insert(database, "t", [one() for _ in range(1000)] + [bad])
    assert postgres_query(database, "select to_regclass('t')::text", row_type=str | None) == [None]


def test_other_columns_and_bad_statements_are_typed_errors(database):
    postgres_insert(database, "t", [Row(1)])
    with pytest.raises(SqlError, match="lacks columns: id"):
        postgres_insert(database, "t", [{"id": 1, "n": 2}])
    with pytest.raises(SqlError, match="does not exist") as caught:
        postgres_query(database, "select * from missing")
    assert caught.value.statement == "select * from missing"
    with pytest.raises(SqlError, match="one value"):
        postgres_query(database, "select 1 as a, 2 as b", row_type=int)
    with pytest.raises(SqlError, match="Rows do not fit"):
        postgres_query(database, "select 'x' as n", row_type=Row)
    for control in ("commit", " /* x */ BEGIN", "-- x\nrollback", "SAVEPOINT a"):
        with pytest.raises(SqlError, match="transaction"):
            postgres_execute(database, control)


def test_a_query_cannot_write(database):
    postgres_insert(database, "t", [Row(1)])
    for sql in (
        "delete from t returning n",
        "with x as (insert into t values (2) returning n) select * from x",
    ):
        with pytest.raises(SqlError) as caught:
            postgres_query(database, sql)
        assert "only reads" in caught.value.hint
    assert postgres_query(database, "select n from t", row_type=int) == [1]


def test_statements_take_parameters_and_many_are_one_transaction(database):
    assert postgres_execute(database, "create table t (n int unique, text text)").rows == 0
    assert postgres_execute(database, "insert into t values (%s, %s)", [1, "100%"]).rows == 1
    assert (
        postgres_execute(
            database, "insert into t values (%(n)s, %(t)s)", {"n": 2, "t": "'; drop table t"}
        ).rows
        == 1
    )
    assert postgres_query(database, "select text from t where text like '100%'", row_type=str) == ["100%"]
    with pytest.raises(SqlError, match="unique"):
        postgres_execute(database, "insert into t values (%s)", many=[[3], [4], [1]])
    assert postgres_execute(database, "insert into t values (%s)", many=[[3], [4]]).rows == 2
    assert postgres_query(database, "select n from t order by n", row_type=int) == [1, 2, 3, 4]


def test_the_url_comes_from_a_variable_and_its_password_is_nowhere(database, cluster, monkeypatch):
    monkeypatch.setenv(
        "SHOP_URL", database.get_secret_value().replace("postgresql://", "postgresql+psycopg://")
    )
    assert postgres_query("SHOP_URL", "select 1 as one") == [{"one": 1}]
    with pytest.raises(SqlError, match="plain text") as plain:
        postgres_query(database.get_secret_value(), "select 1")
    with pytest.raises(SqlError, match="environment variable 'NO_URL'"):
        postgres_query("NO_URL", "select 1")
    wrong = cluster.url("postgres", password="wrong-" + PASSWORD)
    errors = [plain.value]
    for url in (wrong, f"postgresql://u:{PASSWORD}@[/x", f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"):
        with pytest.raises(SqlError) as caught:
            postgres_query(SecretStr(url), "select 1")
        errors.append(caught.value)
    for error in [*errors, *(error.__cause__ for error in errors)]:
        assert PASSWORD not in f"{error!r} {error} {getattr(error, '__dict__', '')}"
    assert pickle.loads(pickle.dumps(errors[1])).code == "sql"


def test_a_lock_of_another_connection_is_waited_for_and_named(database):
    postgres_insert(database, "t", [Row(1)])
    with psycopg.connect(database.get_secret_value()) as other:
        other.execute("lock table t in access exclusive mode")
        with pytest.raises(DatabaseLocked, match=r"0\.2 s"):
            postgres_insert(database, "t", [Row(2)], timeout_s=0.2)
        release = threading.Timer(0.3, other.rollback)
        release.start()
        assert postgres_insert(database, "t", [Row(2)], timeout_s=30).rows == 1
        release.join()


def test_text_that_postgres_cannot_hold_is_a_typed_error(database):
    with pytest.raises(SqlError):
        postgres_insert(database, "t", [{"a": "\ud800"}])
    with pytest.raises(SqlError):
        postgres_execute(database, "select %s", ["\0"])
