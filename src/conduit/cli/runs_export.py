"""``conduit runs export``: rows of the records as a Parquet file.

Rows go as lines of JSON into a file beside the one that is wanted, which DuckDB turns to Parquet: neither has more
than some rows in memory, however many there are.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from conduit import settings as settings_module
from conduit.cli.periods import seconds
from conduit.cli.render import command
from conduit.cli.runs_find import ledger as check_ledger
from conduit.errors import FileError
from conduit.store import open_store
from conduit.store.exporting import Exported, Kind, columns

_LEAST_OBJECT_BYTES = 1 << 20
_TYPES: Mapping[Kind, str] = {"text": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "time": "DOUBLE"}


def run(
    file: Path, *, table: Exported, ledger: str | None, since: str | None, overwrite: bool, as_json: bool
) -> None:
    """Writes the file as a whole or not at all."""
    with command(as_json=as_json) as screen:
        store = open_store(settings_module.load())
        which: Exported = table if ledger is None else "ledger"
        if ledger is not None:
            check_ledger(store, ledger)
        if file.exists() and not overwrite:
            raise FileError(
                f"There is already {file}.", hint="Give another name, or --overwrite.", path=str(file)
            )
        first = None if since is None else time.time() - seconds(since)
        with (
            screen.progress.status(f"Writing {file} …"),
            closing(store.exported(which, ledger=ledger, since=first)) as rows,
        ):
            count = _write(file, columns(which), rows)
        document = {"file": str(file.absolute()), "rows": count, "bytes": file.stat().st_size}
        screen.result(document, lambda out: out.print(f"{file}: {count:,} rows.", soft_wrap=True))


def _write(file: Path, kinds: Mapping[str, Kind], rows: Iterable[Mapping[str, Any]]) -> int:
    try:
        with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=f".{file.name}.") as folder:
            lines, parquet = Path(folder) / "rows.json", Path(folder) / "rows.parquet"
            count = longest = 0
            with lines.open("w", encoding="utf-8") as out:
                for row in rows:
                    longest = max(longest, out.write(json.dumps(row) + "\n"))
                    count += 1
            _to_parquet(lines, parquet, kinds, longest)
            parquet.replace(file)
    except (OSError, duckdb.Error) as error:
        raise FileError(
            f"{file} cannot be written: {' '.join(str(error).split())}.",
            hint="Is there such a folder, may you write to it, and has its disk space?",
            path=str(file),
        ) from error
    return count


def _to_parquet(lines: Path, parquet: Path, kinds: Mapping[str, Kind], longest: int) -> None:
    selected = ", ".join(
        f'to_timestamp("{name}") AS "{name}"' if kind == "time" else f'"{name}"'
        for name, kind in kinds.items()
    )
    types = ", ".join(f"'{name}': '{_TYPES[kind]}'" for name, kind in kinds.items())
    with duckdb.connect() as connection:
        connection.execute("SET temp_directory = $1", [str(parquet.parent / "spill")])
        source = (
            f"read_json($1, format = 'newline_delimited', columns = {{{types}}}, maximum_object_size = $2)"
        )
        target = "'" + str(parquet).replace("'", "''") + "'"
        connection.execute(
            f"COPY (SELECT {selected} FROM {source}) TO {target} (FORMAT parquet)",  # noqa: S608 - quoted
            [str(lines), max(2 * longest, _LEAST_OBJECT_BYTES)],
        )
