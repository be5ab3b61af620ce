"""A pipeline over tables: rows as records and as dicts, several stages, several files."""

from dataclasses import asdict, dataclass, field
from datetime import date

from prefect import flow

from conduit import LMLite, block
from conduit.blocks import duckdb_insert, duckdb_query, http_get, http_post, run_command, sqlite_query


@dataclass(frozen=True)
class Order:
    id: int
    day: date
    lines: tuple[str, ...] = ()


@dataclass
class Summary:
    order: Order
    words: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.words)


lm = LMLite("conduit/tiny")


@lm.block
def words(lines: list[str]) -> list[str]:
    """The important words."""


@block
def summary(order: Order, found: list[str]) -> Summary:
    return Summary(order, found)


@block
def longest(summaries: list[Summary]) -> Summary | None:
    return max(summaries, key=lambda each: each.size, default=None)


@block
def big(size: int) -> bool:
    return size > 3


@flow
def report(database: str, url: str) -> int:
    orders = duckdb_query(database, "SELECT * FROM orders", row_type=Order)
    found = words.map([list(order.lines) for order in orders])
    summaries = [summary.raw(order, each) for order, each in zip(orders, found, strict=True)]
    top = longest(summaries)
    if top is not None and big(top.size):
        http_post(url, json=asdict(top))
    rows = [asdict(order) for order in orders]
    inserted = duckdb_insert(database, "copies", rows)
    counts = sqlite_query(database, "SELECT count(*) FROM t", row_type=int)
    text = run_command(["wc", "-l"], stdin=http_get(url, params={"a": "b"}).content).stdout
    total = int(text) + counts[0] + inserted.rows
    big(total)
    return total
