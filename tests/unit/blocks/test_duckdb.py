import datetime as dt
import enum
import uuid
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from conduit.blocks import duckdb_insert, duckdb_query
from conduit.blocks.columns import columns_of
from conduit.errors import SqlError


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Place:
    city: str
    zip_code: int | None = None


@dataclass
class Everything:
    id: int
    name: str
    ok: bool
    ratio: float
    raw: bytes
    level: Level
    kind: Literal["a", "b"]
    opened: dt.datetime
    seen: AwareDatetime
    day: dt.date
    clock: dt.time
    took: dt.timedelta
    price: Annotated[Decimal, Field(max_digits=8, decimal_places=2)]
    key: uuid.UUID
    tags: list[str]
    place: Place
    places: list[Place]
    counts: dict[str, int]
    extra: dict[str, Any]
    either: int | str
    note: str | None = None
    blobs: list[bytes] = field(default_factory=list)


def one(**changes):
    values = {
        "id": 1, "name": "O'Hara \"x\" \0 é", "ok": True, "ratio": 0.1, "raw": b"\x00\xff\\x41",
        "level": Level.HIGH, "kind": "a", "opened": dt.datetime(2026, 1, 2, 3, 4, 5, 678901),
        "seen": dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))), "day": dt.date(2026, 2, 3),
        "clock": dt.time(4, 5, 6, 7), "took": dt.timedelta(days=-2, seconds=3, microseconds=4),
        "price": Decimal("123456.78"), "key": uuid.UUID(int=7), "tags": ["x", "y"], "place": Place("Bonn", 53111),
        "places": [Place("Ulm"), Place("Jena", 1)], "counts": {"a": 1}, "extra": {"deep": [1, {"x": None}]},
        "either": "text", "blobs": [b"\x01", b""],
    }  # fmt: skip
    return Everything(**{**values, **changes})


@pytest.fixture
def database(tmp_path):
    return tmp_path / "a.duckdb"


def test_rows_of_every_kind_of_field_come_back_equal(database):
    rows = [one(), one(id=2, note="n", tags=[], places=[], counts={}, ratio=float("inf"), either=3)]
    result = duckdb_insert(database, "everything", rows)
    assert (result.rows, result.created) == (2, True)
    assert duckdb_query(database, "select * from everything order by id", row_type=Everything) == rows


def test_the_table_has_the_columns_of_the_row_type(database):
    duckdb_insert(database, "everything", [one()])
    found = {r["column_name"]: r for r in duckdb_query(database, "describe everything")}
    assert {name: row["column_type"] for name, row in found.items()} == {
        "id": "BIGINT", "name": "VARCHAR", "ok": "BOOLEAN", "ratio": "DOUBLE", "raw": "BLOB",
        "level": "VARCHAR", "kind": "VARCHAR", "opened": "TIMESTAMP",
        "seen": "TIMESTAMP WITH TIME ZONE", "day": "DATE", "clock": "TIME",
        "took": "INTERVAL", "price": "DECIMAL(8,2)", "key": "UUID", "tags": "VARCHAR[]",
        "place": "STRUCT(city VARCHAR, zip_code BIGINT)", "places": "STRUCT(city VARCHAR, zip_code BIGINT)[]",
        "counts": "MAP(VARCHAR, BIGINT)", "extra": "JSON", "either": "JSON", "note": "VARCHAR", "blobs": "BLOB[]",
    }  # fmt: skip
    assert [name for name, row in found.items() if row["null"] == "YES"] == ["note"]


class Model(BaseModel):
    id: int
    place: Place | None = Field(default=None, alias="where")


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str


def test_pydantic_models_typed_dicts_and_named_tuples_are_row_types(database):
    models = [Model(id=1, where=Place("Bonn")), Model(id=2)]
    movies: list[Movie] = [{"title": "M", "year": 1931}, {"title": "Ran"}]
    pairs = [Pair(1, "a")]
    duckdb_insert(database, "models", models)
    duckdb_insert(database, "movies", movies, row_type=Movie)
    duckdb_insert(database, "pairs", pairs)
    assert duckdb_query(database, "from models order by id", row_type=Model) == models
    assert duckdb_query(database, "from movies order by title") == [
        {"title": "M", "year": 1931},
        {"title": "Ran", "year": None},
    ]
    assert duckdb_query(database, "from pairs", row_type=Pair) == pairs


def test_rows_of_a_query_can_be_inserted_as_they_are(database):
    duckdb_insert(database, "everything", [one(seen=one().seen.astimezone(dt.UTC))])
    rows = duckdb_query(database, "select id, name, ratio, opened, seen, tags, price, note from everything")
    duckdb_insert(database, "copy", rows)
    assert duckdb_query(database, "from copy") == rows


def test_no_rows_make_a_table_where_their_type_is_known(database):
    assert duckdb_insert(database, "t", []).created is False
    assert duckdb_insert(database, "t", [], row_type=Place).created is True
    assert duckdb_query(database, "from t") == []


def test_a_table_with_other_columns_is_refused_naming_each_difference(database):
    @dataclass
    class Old:
        id: int
        city: int
        gone: str

    duckdb_insert(database, "t", [Old(1, 2, "x")])

    @dataclass
    class New:
        id: int
        city: str
        fresh: bool

    with pytest.raises(SqlError) as caught:
        duckdb_insert(database, "t", [New(1, "x", True)])
    text = caught.value.message
    assert "gone is missing in the rows" in text
    assert "fresh (BOOLEAN) is missing in the table" in text
    assert "city is BIGINT in the table, VARCHAR in the rows" in text
    assert "id " not in text.split("other columns")[1]
    assert duckdb_query(database, "select count(*) from t", row_type=int) == [1]


def test_one_bad_row_among_many_undoes_the_whole_insert(database):
    duckdb_insert(database, "t", [Place("a", 1)])
    rows = [Place("b", n) for n in range(30_000)]
    rows[25_000] = Place("c", 1.5)
    with pytest.raises(SqlError, match=r"Row 25000, column 'zip_code': float 1\.5 is no BIGINT"):
        duckdb_insert(database, "t", rows)
    assert duckdb_query(database, "select count(*) from t", row_type=int) == [1]


def test_a_failed_first_insert_leaves_no_table(database):
    with pytest.raises(SqlError):
        duckdb_insert(database, "t", [Place(3)])
    with pytest.raises(SqlError, match="does not exist"):
        duckdb_query(database, "from t")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": True}, {"id": 2**63}, {"id": "1"}, {"name": None}, {"name": "\ud800"}, {"ok": 1}, {"ratio": "x"},
        {"price": Decimal("0.001")}, {"price": Decimal(1234567)}, {"price": Decimal("NaN")},
        {"day": dt.datetime(2026, 1, 1)},
        {"seen": dt.datetime(2026, 1, 1)}, {"clock": dt.time(1, tzinfo=dt.UTC)}, {"tags": "xy"}, {"tags": [1]},
        {"place": {"town": "x"}}, {"places": [None, 3]}, {"counts": {"a": "b"}}, {"extra": object()},
    ],
)  # fmt: skip
def test_a_value_that_the_table_would_change_or_lose_is_refused(database, changes):
    with pytest.raises(SqlError):
        duckdb_insert(database, "t", [one(**changes)])


@pytest.mark.parametrize(
    "rows", [[1], ["x"], [[1, 2]], [Place("a"), Pair(1, "x")], [Place("a"), None], [{}], [{1: 2}]]
)
def test_what_is_no_row_is_refused(database, rows):
    with pytest.raises(SqlError):
        duckdb_insert(database, "t", rows)


def test_names_are_quoted_and_never_run(database):
    rows = [{'a"; drop table x; --': 1, "select": 2, "mit Leerzeichen": 3}]
    duckdb_insert(database, 'we"ird; drop', rows)
    assert duckdb_query(database, 'from "we""ird; drop"') == rows


def test_fields_that_differ_in_case_only_are_refused(database):
    with pytest.raises(SqlError, match="'a' and 'A'"):
        duckdb_insert(database, "t", [{"a": 1, "A": 2}])


def test_an_aware_time_in_a_plain_column_is_kept_as_utc(database):
    duckdb_insert(database, "t", [{"seen": dt.datetime(2026, 1, 1)}, {"seen": one().seen}])
    assert duckdb_query(database, "select seen from t order by seen") == [
        {"seen": dt.datetime(2026, 1, 1)},
        {"seen": dt.datetime(2026, 1, 2, 1)},
    ]


@pytest.mark.parametrize(
    "sql",
    ["insert into t values (1)", "drop table t", "select 1; select 2", "", "bogus", "select 1 as a, 2 as a",
     "with x as (insert into t values ('z', 1) returning city) select * from x", "select * from missing"],
)  # fmt: skip
def test_a_query_only_reads_and_says_what_is_wrong(database, sql):
    duckdb_insert(database, "t", [Place("a", 1)])
    with pytest.raises(SqlError):
        duckdb_query(database, sql)
    assert duckdb_query(database, "select count(*) from t", row_type=int) == [1]


def test_parameters_are_values_by_order_and_by_name(database):
    duckdb_insert(database, "t", [Place("x' or 1=1 --", 1), Place("b", 2)])
    assert duckdb_query(database, "select zip_code as z from t where city = ?", ["x' or 1=1 --"]) == [
        {"z": 1}
    ]
    assert duckdb_query(database, "select zip_code as z from t where city = $c", {"c": "b"}) == [{"z": 2}]
    with pytest.raises(SqlError):
        duckdb_query(database, "select ?", [object()])


def test_a_time_without_a_zone_means_utc_on_every_machine(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    (found,) = duckdb_query(":memory:", "select timestamptz '2026-01-01 00:00:00' as t", row_type=dt.datetime)
    assert found == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_query_does_not_make_the_file_that_it_misses(database):
    with pytest.raises(SqlError, match="does not exist"):
        duckdb_query(database, "select 1")
    assert not database.exists()


@dataclass
class Tree:
    name: str
    children: "list[Tree]"


def test_a_type_that_contains_itself_is_a_json_column(database):
    tree = Tree("a", [Tree("b", [])])
    assert [c.shape.sql for c in columns_of(Tree)] == ["VARCHAR", "JSON[]"]
    duckdb_insert(database, "t", [tree])
    assert duckdb_query(database, "from t", row_type=Tree) == [tree]


@dataclass
class Law:
    n: int
    text: str
    x: float
    at: dt.datetime
    took: dt.timedelta
    data: bytes
    parts: list[Place]
    amount: Decimal


FITTING = st.builds(
    Law,
    n=st.integers(-(2**63), 2**63 - 1),
    text=st.text(),
    x=st.floats(allow_nan=False),
    at=st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
    took=st.timedeltas(dt.timedelta(days=-10_000), dt.timedelta(days=10_000)),
    data=st.binary(),
    parts=st.lists(st.builds(Place, city=st.text(), zip_code=st.none() | st.integers(0, 99999)), max_size=3),
    amount=st.decimals(-(10**27), 10**27, places=10),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(FITTING, min_size=1, max_size=4))
def test_what_goes_in_comes_out_whatever_the_values(tmp_path, rows):
    database = tmp_path / f"{uuid.uuid4()}.duckdb"
    duckdb_insert(database, "t", rows)
    assert duckdb_query(database, "from t", row_type=Law) == rows


def test_named_tuples_without_types_are_rows_too(database):
    duckdb_insert(database, "t", [namedtuple("Bare", ["a", "b"])(1, "x")._asdict()])  # noqa: PYI024 - the point
    assert duckdb_query(database, "from t") == [{"a": 1, "b": "x"}]
