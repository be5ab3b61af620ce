"""Ready-made blocks for what flows touch: web servers, files, databases, commands.

Each is loaded when it is first asked for, so that a flow that fetches a page does not load a database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conduit.blocks.downloading import Download, http_download
    from conduit.blocks.duckdb import duckdb_insert, duckdb_query
    from conduit.blocks.files import FileContent, WrittenFile, read_file, read_files, write_file
    from conduit.blocks.html import html_to_text
    from conduit.blocks.http import HttpResponse, http_get, http_post
    from conduit.blocks.jsonl import read_jsonl, scan_jsonl, write_jsonl
    from conduit.blocks.paging import http_pages
    from conduit.blocks.postgres import postgres_execute, postgres_insert, postgres_query
    from conduit.blocks.records import BadLine, InsertResult
    from conduit.blocks.shell import CommandResult, ShellText, run_command
    from conduit.blocks.sqlite import ExecuteResult, sqlite_execute, sqlite_insert, sqlite_query
    from conduit.blocks.tables import WrittenTable, read_table, scan_table, write_table

__all__ = [
    "BadLine",
    "CommandResult",
    "Download",
    "ExecuteResult",
    "FileContent",
    "HttpResponse",
    "InsertResult",
    "ShellText",
    "WrittenFile",
    "WrittenTable",
    "duckdb_insert",
    "duckdb_query",
    "html_to_text",
    "http_download",
    "http_get",
    "http_pages",
    "http_post",
    "postgres_execute",
    "postgres_insert",
    "postgres_query",
    "read_file",
    "read_files",
    "read_jsonl",
    "read_table",
    "run_command",
    "scan_jsonl",
    "scan_table",
    "sqlite_execute",
    "sqlite_insert",
    "sqlite_query",
    "write_file",
    "write_jsonl",
    "write_table",
]

_HOMES = {
    "duckdb": (
        "duckdb_insert",
        "duckdb_query",
    ),
    "files": (
        "FileContent",
        "WrittenFile",
        "read_file",
        "read_files",
        "write_file",
    ),
    "html": ("html_to_text",),
    "http": (
        "HttpResponse",
        "http_get",
        "http_post",
    ),
    "downloading": (
        "Download",
        "http_download",
    ),
    "paging": ("http_pages",),
    "jsonl": (
        "read_jsonl",
        "scan_jsonl",
        "write_jsonl",
    ),
    "postgres": (
        "postgres_execute",
        "postgres_insert",
        "postgres_query",
    ),
    "records": (
        "BadLine",
        "InsertResult",
    ),
    "shell": (
        "CommandResult",
        "ShellText",
        "run_command",
    ),
    "sqlite": (
        "ExecuteResult",
        "sqlite_execute",
        "sqlite_insert",
        "sqlite_query",
    ),
    "tables": (
        "WrittenTable",
        "read_table",
        "scan_table",
        "write_table",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
