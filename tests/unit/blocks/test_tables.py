import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import pytest

from conduit.blocks import read_table, scan_table, write_table
from conduit.errors import FileError, SqlError


@dataclass
class Place:
    city: str
    zip_code: int | None = None


@dataclass
class Sale:
    id: int
    name: str
    ok: bool
    ratio: float
    at: dt.datetime
    day: dt.date
    code: str
    price: Decimal
    key: uuid.UUID
    tags: list[str]
    counts: dict[str, int]
    raw: bytes
    took: dt.timedelta
    either: int | str
    place: Place | None = None
    note: str | None = None


def sales(count=50):
    return [
        Sale(
            n, f'n,"{n}\'\né;', n % 2 == 0, n / 3, dt.datetime(2026, 1, 2, 3, 4, 5, n), dt.date(2026, 1, 1 + n % 3),
            f"00{n % 3}", Decimal("-1.25"), uuid.UUID(int=n), ["a", "b,c"], {"x": n}, b"\x00\xff",
            dt.timedelta(days=-1, microseconds=n), n if n % 2 else str(n) + "x", Place("Ulm", n) if n % 2 else None,
            None if n % 3 else ("" if n % 2 else "x"),
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.tsv", "a.csv.gz", "it's [a].parquet"])
def test_typed_rows_come_back_equal_from_a_file(tmp_path, name):
    written = write_table(tmp_path / name, sales())
    assert (written.rows, written.size_bytes) == (50, (tmp_path / name).stat().st_size)
    assert read_table(tmp_path / name, row_type=Sale) == sales()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_typed_rows_come_back_equal_from_a_partitioned_folder(tmp_path, form):
    folder = tmp_path / "sales of [x]"
    write_table(folder, iter(sales()), partition_by=["day", "code"], format=form)
    assert (folder / "day=2026-01-02" / "code=001").is_dir()
    assert sorted(read_table(folder, row_type=Sale), key=lambda sale: sale.id) == sales()
    one = folder.parent / "sales of [[]x]" / "**" / "code=001" / f"*.{form}"
    assert {sale.code for sale in read_table(one, row_type=Sale)} == {"001"}
    write_table(folder, sales(2), partition_by=["day", "code"], format=form)
    assert len(read_table(folder, row_type=Sale)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["sales of [x]"]


def test_duckdb_reads_what_is_written(tmp_path):
    write_table(tmp_path / "a.parquet", sales())
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select sum(id), max(place.zip_code) from '{tmp_path}/a.parquet'"
        ).fetchone()
    assert found == (1225, 49)


def test_files_of_others_are_read_by_the_types_of_the_rows(tmp_path):
    (tmp_path / "a.csv").write_text('id,city,zip_code\n007,Ulm,\n8,"Bad ""X""",123\n')
    (tmp_path / "b.csv").write_text("zip_code,city,more\n1,Jena,x\n")
    assert read_table(tmp_path / "a.csv", row_type=Place) == [Place("Ulm"), Place('Bad "X"', 123)]
    assert read_table(tmp_path / "*.csv", row_type=Place)[-1] == Place("Jena", 1)
    assert len(read_table(tmp_path)) == 3
    (tmp_path / "c.csv").write_text("city,zip_code\nUlm,many\n")
    with pytest.raises(SqlError, match="many"):
        read_table(tmp_path / "c.csv", row_type=Place)
    with pytest.raises(SqlError, match="id: Field required"):
        read_table(tmp_path / "c.csv", row_type=Sale)


def test_a_scan_gives_batches(tmp_path):
    write_table(tmp_path / "a.parquet", ({"n": n} for n in range(45_000)))
    sizes = [len(batch) for batch in scan_table(tmp_path / "a.parquet", batch_rows=20_000)]
    assert sizes == [20_000, 20_000, 5_000]
    assert read_table(tmp_path / "a.parquet", row_type=int) == list(range(45_000))
    with pytest.raises(SqlError, match="more than 44999 rows"):
        read_table(tmp_path / "a.parquet", max_rows=44_999)


@pytest.mark.parametrize(
    ("path", "arguments", "error"),
    [
        ("missing.parquet", {}, FileError),
        ("*.parquet", {}, FileError),
        ("", {}, FileError),
        ("text.csv", {"format": "parquet"}, FileError),
        ("text.odd", {}, FileError),
        ("empty", {}, FileError),
    ],
)
def test_what_is_no_table_is_a_typed_error(tmp_path, monkeypatch, path, arguments, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("a\n1\n")
    (tmp_path / "text.odd").write_text("a\n1\n")
    with pytest.raises((error, SqlError)):
        read_table(path, **arguments)


def test_an_error_leaves_the_old_table_and_nothing_else(tmp_path):
    path = tmp_path / "a.parquet"
    write_table(path, sales(3))

    def failing():
        yield from sales(1)
        raise RuntimeError("the source broke")

    for rows in (failing(), [*sales(1), Sale(*["x"] * 14)]):
        with pytest.raises((FileError, SqlError)):
            write_table(path, rows)
    with pytest.raises(SqlError, match="no column: nothing"):
        write_table(tmp_path / "b", sales(1), partition_by=["nothing"], format="csv")
    with pytest.raises(SqlError, match="other columns"):
        write_table(path, ({"n": 1} if n < 20_000 else {"n": "text"} for n in range(20_001)))
    with pytest.raises(SqlError, match="no rows"):
        write_table(path, [])
    assert read_table(path, row_type=Sale) == sales(3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_no_rows_of_a_known_type_are_a_table_without_rows(tmp_path):
    for name in ("a.parquet", "a.csv"):
        assert write_table(tmp_path / name, [], row_type=Sale).rows == 0
        assert read_table(tmp_path / name, row_type=Sale) == []
