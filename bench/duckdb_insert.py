"""Typed rows into DuckDB, beside an Arrow table made of the same rows and inserted.

Both begin with the row objects and end with a closed file. They are timed in turn and the ratio of the medians is
reported; the inserts into Postgres (with COPY, beside rows sent as parameters) and SQLite are printed with it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import duckdb
import pyarrow as pa
from _report import report
from pydantic import SecretStr

from conduit.blocks import duckdb_insert, postgres_execute, postgres_insert, sqlite_insert

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from support import postgres  # noqa: E402 # of the tests

BAR = 0.5
ROWS, ROUNDS = 100_000, 7


@dataclass
class Ticket:
    id: int
    category: str
    urgent: bool
    score: float
    summary: str
    opened: dt.datetime
    note: str | None = None


NAMES = ("id", "category", "urgent", "score", "summary", "opened", "note")
TYPES = [pa.int64(), pa.string(), pa.bool_(), pa.float64(), pa.string(), pa.timestamp("us"), pa.string()]
SCHEMA = pa.schema(list(zip(NAMES, TYPES, strict=True)))


def tickets() -> list[Ticket]:
    begin = dt.datetime(2026, 1, 1)  # noqa: DTZ001 # a plain one is what rows have most
    return [
        Ticket(
            n,
            ("billing", "bug", "account", "other")[n % 4],
            n % 3 == 0,
            n * 0.37,
            f"Message {n} about something or other, é {n * 7}",
            begin + dt.timedelta(seconds=n, microseconds=n),
            None if n % 5 else f"note {n}",
        )
        for n in range(ROWS)
    ]


def with_arrow(file: Path, rows: list[Ticket]) -> None:
    columns = {name: list(map(attrgetter(name), rows)) for name in NAMES}
    arrow = pa.table(columns, schema=SCHEMA)
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE tickets AS SELECT * FROM arrow")
    assert arrow.num_rows == ROWS


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextlib.contextmanager
def database() -> Iterator[SecretStr | None]:
    programs = postgres.programs()
    if programs is None:
        print("Postgres is not installed: it is left out")
        yield None
        return
    with postgres.running(programs) as cluster:
        yield SecretStr(cluster.new_database())


def into_postgres(url: SecretStr, rows: list[Ticket]) -> dict[str, float]:
    insert = f"INSERT INTO sent VALUES ({', '.join(['%s'] * len(NAMES))})"
    postgres_insert(url, "sent", [], row_type=Ticket)
    few = rows[: ROWS // 10]
    values = [attrgetter(*NAMES)(row) for row in few]
    copied = statistics.median(timed(lambda: postgres_insert(url, "copied", rows)) for _ in range(3))
    sent = timed(lambda: postgres_execute(url, insert, many=values))
    return {
        "postgres_rows_s": round(ROWS / copied),
        "postgres_against_parameters": round(ROWS / copied / (len(few) / sent), 1),
    }


def main() -> None:
    rows = tickets()
    times: dict[str, list[float]] = {"conduit": [], "arrow": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(-1, ROUNDS):
            ours = timed(lambda n=number: duckdb_insert(folder / f"ours{n}.duckdb", "tickets", rows))
            arrow = timed(lambda n=number: with_arrow(folder / f"arrow{n}.duckdb", rows))
            if number >= 0:  # the first round warms up
                times["conduit"].append(ours)
                times["arrow"].append(arrow)
        same = equal_tables(folder / "ours0.duckdb", folder / "arrow0.duckdb")
        sqlite = statistics.median(
            timed(lambda n=n: sqlite_insert(folder / f"a{n}.db", "tickets", rows)) for n in range(3)
        )
    median = {kind: statistics.median(found) for kind, found in times.items()}
    for kind, seconds in median.items():
        print(f"{kind:8} {ROWS / seconds:10,.0f} rows/s")
    with database() as url:
        more = into_postgres(url, rows) if url is not None else {}
    report(
        "duckdb_insert",
        median["arrow"] / median["conduit"],
        BAR,
        "higher",
        ok=same,
        rows=ROWS,
        rows_s=round(ROWS / median["conduit"]),
        arrow_rows_s=round(ROWS / median["arrow"]),
        sqlite_rows_s=round(ROWS / sqlite),
        **more,
    )


def equal_tables(ours: Path, theirs: Path) -> bool:
    """Whether both files have the same rows."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{ours}' AS ours; ATTACH '{theirs}' AS theirs")
        sides = ("ours.tickets", "theirs.tickets"), ("theirs.tickets", "ours.tickets")
        left = [connection.execute(f"FROM {a} EXCEPT ALL FROM {b}").fetchall() for a, b in sides]
    return left == [[], []]


if __name__ == "__main__":
    main()
