"""Type-checked only: what the ready-made blocks give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from typing_extensions import assert_type

from conduit.blocks import (
    BadLine,
    duckdb_query,
    html_to_text,
    http_download,
    http_get,
    http_pages,
    postgres_execute,
    postgres_query,
    read_file,
    read_files,
    read_jsonl,
    read_table,
    run_command,
    scan_jsonl,
    scan_table,
    sqlite_insert,
    sqlite_query,
    write_jsonl,
    write_table,
)


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

assert_type(postgres_query(SecretStr("…"), "SELECT 1"), list[dict[str, Any]])
assert_type(postgres_query("SHOP_DB", "SELECT 1 AS id", row_type=Row), list[Row])
assert_type(postgres_query.submit("SHOP_DB", "SELECT 1 AS id", row_type=Row).result(), list[Row])
assert_type(postgres_execute("SHOP_DB", "DELETE FROM t").rows, int)
assert_type(sqlite_insert("a.db", "t", [Row(1)]).created, bool)
assert_type(read_jsonl("a.jsonl", row_type=Row), list[Row])
assert_type(read_jsonl("a.jsonl", row_type=Row, errors="collect"), list[Row | BadLine])
assert_type(list(scan_jsonl("a.jsonl", row_type=Row)), list[list[Row]])
assert_type(read_table("a.csv"), list[dict[str, Any]])
assert_type(read_table("a.csv", row_type=Row), list[Row])
assert_type(list(scan_table("a.csv", row_type=Row)), list[list[Row]])
assert_type(write_table("a.csv", [Row(1)]).rows, int)
assert_type(write_jsonl("a.jsonl", [Row(1)]).size_bytes, int)
assert_type([file.text for file in read_files("*.txt")], list[str])
assert_type([page.status for page in http_pages("http://127.0.0.1/")], list[int])
assert_type(http_download("http://127.0.0.1/", "a").sha256, str)
assert_type(html_to_text("<p>a"), str)
