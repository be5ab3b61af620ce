"""Blocks that read and write files, each whole.

A written file is there complete or not at all, and in a transaction that is rolled back what was there before comes
back. Not for files larger than memory.
"""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from conduit.blocks.placing import hint, location, placed
from conduit.dataflow import block
from conduit.errors import FileError

MAX_BYTES = 256 * 1024 * 1024
MAX_FILES = 10_000


@dataclass(frozen=True)
class FileContent:
    """A file that was read; ``text`` is empty where no encoding was asked for."""

    path: str
    content: bytes = field(repr=False)
    text: str = field(repr=False)

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True)
class WrittenFile:
    """A file that is on the disk; ``path`` is absolute."""

    path: str
    size_bytes: int


@block
def read_file(path: str | Path, *, encoding: str | None = "utf-8", max_bytes: int = MAX_BYTES) -> FileContent:
    """Reads a regular file.

    Args:
        path: The file; ``~`` is the user's home.
        encoding: Of the text; None for files that are not text. Line ends stay as they are.
        max_bytes: Largest file accepted.

    Raises:
        FileError: It is missing, not readable, no regular file, too large, or not in that encoding.
    """
    if max_bytes < 0:
        raise FileError(f"max_bytes={max_bytes}", hint="It is 0 or more.", path=str(path))
    return _content(location(path), encoding, max_bytes)


@block
def read_files(
    pattern: str | Path,
    *,
    encoding: str | None = "utf-8",
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> Iterator[FileContent]:
    """Reads the regular files that a pattern names, one after another, in the order of their paths.

    Args:
        pattern: A path with ``*``, ``?``, ``[…]``, or ``**`` for folders in folders; hidden files must be named.
        encoding: Of the texts; None for files that are not text.
        max_bytes: Largest file accepted.
        max_files: Most files accepted; more are refused before the first is read.

    Raises:
        FileError: The folder is missing, there are too many files, or one cannot be read.
    """
    place = location(pattern)
    named = itertools.takewhile(lambda part: not glob.has_magic(part), place.parts[:-1])
    if not (folder := Path(*named)).is_dir():
        raise FileError(f"There is no folder {folder}", hint="Check the pattern.", path=str(place))
    # Not Path.glob, which takes no absolute pattern.
    found = (Path(name) for name in glob.iglob(str(place), recursive=True))  # noqa: PTH207
    paths = sorted(itertools.islice((path for path in found if path.is_file()), max_files + 1))
    if len(paths) > max_files:
        raise FileError(
            f"{place} names more than {max_files} files",
            hint="Give a larger max_files, or a narrower pattern.",
            path=str(place),
        )
    for path in paths:
        yield _content(path, encoding, max_bytes)


@block
def write_file(
    path: str | Path, data: str | bytes, *, encoding: str = "utf-8", make_folders: bool = False
) -> WrittenFile:
    """Writes a file, replacing one that exists, in one step.

    A reader sees the old file or the new one; after an error (a full disk too) the old one is untouched. A replaced
    file keeps its permissions, and a symbolic link keeps pointing to the file.

    Args:
        path: The file; ``~`` is the user's home.
        data: Text, written without change of its line ends, or bytes.
        encoding: Of the text.
        make_folders: Make the folders above it where they are missing.

    Raises:
        FileError: It cannot be written.
    """
    place = location(path)
    try:
        content = data.encode(encoding) if isinstance(data, str) else data
    except (UnicodeEncodeError, LookupError) as error:
        raise FileError(f"The text for {place} cannot be {encoding}: {error}", path=str(place)) from error
    try:
        target = placed(place, [content], make_folders=make_folders)
    except FileError as error:
        raise FileError(
            f"{error.message} ({len(content)} bytes)", hint=error.hint, path=error.path
        ) from error
    return WrittenFile(path=str(target), size_bytes=len(content))


def _content(target: Path, encoding: str | None, max_bytes: int) -> FileContent:
    content = _read(target, max_bytes)
    if encoding is None:
        return FileContent(path=str(target), content=content, text="")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileError(
            f"{target} is not {encoding}: {error.reason} at byte {error.start} of {len(content)}",
            hint="Give its encoding, or encoding=None for bytes.",
            path=str(target),
        ) from error
    except LookupError as error:
        raise FileError(
            f"No encoding is named {encoding!r}", hint="Such as utf-8.", path=str(target)
        ) from error
    return FileContent(path=str(target), content=content, text=text)


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        # Not to hang on a named pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileError(f"{path} is no regular file", hint="Give a file's path.", path=str(path))
            # The size on record is no limit for a file that grows, and is 0 in /proc.
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(max_bytes + 1)
            size_bytes = max(os.fstat(descriptor).st_size, len(content))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FileError(
            f"{path} was not read: {error.strerror or error}", hint=hint(error, path), path=str(path)
        ) from error
    if len(content) > max_bytes:
        raise FileError(
            f"{path} has {size_bytes} bytes; the limit is {max_bytes}",
            hint="Give a larger max_bytes if that much fits in memory.",
            path=str(path),
        )
    return content
