"""Type-checked only: what the ready-made blocks give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from conduit.blocks import duckdb_query, http_get, read_file, run_command, sqlite_query


@dataclass
class Row:
    id: int


assert_type(http_get("http://127.0.0.1/").text, str)
assert_type(http_get.submit("http://127.0.0.1/").result().status, int)
assert_type(duckdb_query("a.duckdb", "SELECT 1"), list[dict[str, Any]])
assert_type(duckdb_query("a.duckdb", "SELECT 1 AS id", row_type=Row), list[Row])
assert_type(sqlite_query("a.db", "SELECT 1 AS id", row_type=Row), list[Row])
assert_type(read_file("a.txt").text, str)
assert_type(run_command(["true"]).exit_code, int)
