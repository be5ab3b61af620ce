"""Blocks on files of JSON lines: typed rows both ways, one a line.

``read_jsonl`` gives all rows at once, ``scan_jsonl`` a list at a time for files that are larger than memory. A line
that is no row is an error that names it, or stands among the rows as a ``BadLine``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json

from conduit.blocks.files import MAX_BYTES, WrittenFile
from conduit.blocks.placing import appended, hint, location, placed
from conduit.blocks.records import BadLine
from conduit.blocks.signatures import LinesBlock, LinesInBatchesBlock, shown
from conduit.dataflow import block
from conduit.errors import FileError

MAX_LINE_BYTES = 16 * 1024 * 1024
BATCH_ROWS = 10_000
_WRITTEN_AT_ONCE = 1000


def _read_jsonl(
    path: str | Path,
    *,
    row_type: Any = None,
    errors: Literal["raise", "collect"] = "raise",
    max_bytes: int = MAX_BYTES,
) -> list[Any]:
    """Reads the rows of a file of JSON lines; empty lines are passed over.

    Args:
        path: The file, in UTF-8.
        row_type: What a line is; any JSON without it.
        errors: ``raise`` at the first line that is no row, or ``collect`` a ``BadLine`` in its place.
        max_bytes: Largest file accepted; ``scan_jsonl`` reads larger ones.

    Raises:
        FileError: It cannot be read, is too large, or a line is no row: ``line`` is its number.
    """
    place = location(path)
    with _opened(place) as file:
        return list(_rows(file, place, row_type, errors, max_bytes))


read_jsonl = cast(LinesBlock, shown(_read_jsonl))


def _scan_jsonl(
    path: str | Path,
    *,
    row_type: Any = None,
    errors: Literal["raise", "collect"] = "raise",
    batch_rows: int = BATCH_ROWS,
) -> Iterator[list[Any]]:
    """Reads the rows of a file of JSON lines a batch at a time: only one batch is in memory.

    Args:
        path: The file, in UTF-8.
        row_type: What a line is; any JSON without it.
        errors: As in ``read_jsonl``.
        batch_rows: Rows of one batch; the last has what is left.

    Raises:
        FileError: As in ``read_jsonl``.
    """
    place = location(path)
    if batch_rows < 1:
        raise FileError(f"batch_rows={batch_rows}", hint="It is 1 or more.", path=str(place))
    with _opened(place) as file:
        batch: list[Any] = []
        for row in _rows(file, place, row_type, errors, None):
            batch.append(row)
            if len(batch) == batch_rows:
                yield batch
                batch = []
        if batch:
            yield batch


scan_jsonl = cast(LinesInBatchesBlock, shown(_scan_jsonl))


@block
def write_jsonl(
    path: str | Path, rows: Sequence[Any] | Iterable[Any], *, append: bool = False, make_folders: bool = False
) -> WrittenFile:
    """Writes rows as JSON lines, replacing the file in one step or adding to its end.

    After an error, a full disk too, the file is as it was before.

    Args:
        path: The file; ``~`` is the user's home.
        rows: Dataclasses, pydantic models, dicts, or anything else that has a JSON form. An iterator is written as
            it comes, so that the rows need not fit in memory together, but for ``append``.
        append: Add to the file that is there.
        make_folders: Make the folders above it where they are missing.

    Raises:
        FileError: It cannot be written, or a row has no JSON form.
    """
    place = location(path)
    if append:
        content = b"".join(_lines(rows, place))
        target, size_bytes = appended(place, content, make_folders=make_folders), len(content)
    else:
        target = placed(place, _lines(rows, place), make_folders=make_folders)
        size_bytes = target.stat().st_size
    return WrittenFile(path=str(target), size_bytes=size_bytes)


def _lines(rows: Iterable[Any], place: Path) -> Iterator[bytes]:
    """The rows' lines, many at a time."""
    lines: list[bytes] = []
    for index, row in enumerate(rows):
        try:
            lines.append(to_json(row, by_alias=True, bytes_mode="base64", inf_nan_mode="strings"))
        except (PydanticSerializationError, ValueError) as error:
            raise FileError(
                f"Row {index} for {place} has no JSON form: {error}",
                hint="Nothing was written.",
                path=str(place),
            ) from error
        if len(lines) == _WRITTEN_AT_ONCE:
            yield b"\n".join((*lines, b""))
            lines.clear()
    if lines:
        yield b"\n".join((*lines, b""))


def _opened(place: Path) -> BinaryIO:
    try:
        if place.exists() and not place.is_file():
            raise FileError(f"{place} is no regular file", hint="Give a file's path.", path=str(place))
        return place.open("rb")
    except OSError as error:
        raise FileError(
            f"{place} was not read: {error.strerror or error}", hint=hint(error, place), path=str(place)
        ) from error


def _rows(
    file: BinaryIO, place: Path, row_type: Any, errors: Literal["raise", "collect"], max_bytes: int | None
) -> Iterator[Any]:
    adapter = _adapter(Any if row_type is None else row_type)
    number = read_bytes = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number, read_bytes = number + 1, read_bytes + len(line)
        if len(line) > MAX_LINE_BYTES:
            raise _bad(place, number, f"is longer than {MAX_LINE_BYTES} bytes", "Are there line ends in it?")
        if max_bytes is not None and read_bytes > max_bytes:
            raise FileError(
                f"{place} has more than {max_bytes} bytes",
                hint="Give a larger max_bytes, or read it with scan_jsonl, a batch at a time.",
                path=str(place),
            )
        # A byte order mark is no part of the first line.
        line = line.strip() if number > 1 else line.removeprefix(b"\xef\xbb\xbf").strip()
        if not line:
            continue
        try:
            yield adapter.validate_json(line)
        except ValidationError as error:
            problem = "; ".join(
                ": ".join(filter(None, (".".join(map(str, p["loc"])), p["msg"])))
                for p in error.errors(include_url=False, include_input=False)[:3]
            )
            if errors == "collect":
                yield BadLine(number, line[:200].decode(errors="replace"), problem)
            else:
                raise _bad(
                    place,
                    number,
                    f"is no row: {problem}",
                    'errors="collect" keeps such lines among the rows.',
                ) from error


def _bad(place: Path, number: int, what: str, advice: str) -> FileError:
    return FileError(f"Line {number} of {place} {what}", hint=advice, path=str(place), line=number)


@lru_cache(maxsize=256)
def _adapter(row_type: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(row_type)
    except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
        raise FileError(
            f"{getattr(row_type, '__name__', row_type)} cannot be the type of rows: "
            f"{str(error).partition(chr(10))[0]}",
            hint="Rows are dataclasses, pydantic models, TypedDicts, named tuples or plain values.",
        ) from error
