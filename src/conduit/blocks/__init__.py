"""Ready-made blocks for what flows touch: web servers, files, databases, commands.

Each is loaded when it is first asked for, so that a flow that fetches a page does not load a database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conduit.blocks.duckdb import InsertResult, duckdb_insert, duckdb_query
    from conduit.blocks.files import FileContent, WrittenFile, read_file, write_file
    from conduit.blocks.http import HttpResponse, http_get, http_post
    from conduit.blocks.shell import CommandResult, ShellText, run_command
    from conduit.blocks.sqlite import ExecuteResult, sqlite_execute, sqlite_query

__all__ = [
    "CommandResult",
    "ExecuteResult",
    "FileContent",
    "HttpResponse",
    "InsertResult",
    "ShellText",
    "WrittenFile",
    "duckdb_insert",
    "duckdb_query",
    "http_get",
    "http_post",
    "read_file",
    "run_command",
    "sqlite_execute",
    "sqlite_query",
    "write_file",
]

_HOMES = {
    "duckdb": ("InsertResult", "duckdb_insert", "duckdb_query"),
    "files": ("FileContent", "WrittenFile", "read_file", "write_file"),
    "http": ("HttpResponse", "http_get", "http_post"),
    "shell": ("CommandResult", "ShellText", "run_command"),
    "sqlite": ("ExecuteResult", "sqlite_execute", "sqlite_query"),
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
