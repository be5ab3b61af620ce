"""Blocks that read and write one file, whole.

A written file is there complete or not at all: the bytes go to a temporary file in the same folder, are forced to
the disk, and take the name in one step. Not for files larger than memory.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from conduit.dataflow import block
from conduit.errors import FileError

MAX_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


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
    target = _location(path)
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
    location = _location(path)
    try:
        content = data.encode(encoding) if isinstance(data, str) else data
    except (UnicodeEncodeError, LookupError) as error:
        raise FileError(
            f"The text for {location} cannot be {encoding}: {error}", path=str(location)
        ) from error
    try:
        target = location.resolve()
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)
    except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle, before Python 3.13
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileError(
            f"{location} was not written ({len(content)} bytes): {reason}",
            hint=_hint(error, location),
            path=str(location),
        ) from error
    return WrittenFile(path=str(target), size_bytes=len(content))


def _location(path: str | Path) -> Path:
    text = str(path)
    if not text or "\0" in text:
        raise FileError(f"{text!r} is no path", hint="Give the path of a file.", path=text)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # no such user, or one without a home
        raise FileError(f"{text} names no home folder", hint="Write the whole path.", path=text) from error


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
            f"{path} was not read: {error.strerror or error}", hint=_hint(error, path), path=str(path)
        ) from error
    if len(content) > max_bytes:
        raise FileError(
            f"{path} has {size_bytes} bytes; the limit is {max_bytes}",
            hint="Give a larger max_bytes if that much fits in memory.",
            path=str(path),
        )
    return content


def _replace(target: Path, content: bytes) -> None:
    mode = _mode_of(target)
    temporary = target.parent / f".conduit-{secrets.token_hex(8)}.part"
    # Made by hand, not by tempfile: a new file gets the permissions that the user's umask leaves.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest[:_CHUNK_BYTES]) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    # The new name must outlive a power cut too; some file systems cannot do that for folders.
    with suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _mode_of(target: Path) -> int | None:
    """Permissions of the file to replace; None where there is none yet."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise FileError(
            f"{target} exists and is no regular file",
            hint="Only regular files are replaced.",
            path=str(target),
        )
    return stat.S_IMODE(status.st_mode)


def _hint(error: Exception, path: Path) -> str | None:
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"There is no folder {path.parent}; write_file makes it with make_folders=True."
        return "Check the path."
    if isinstance(error, PermissionError):
        return "Check the permissions of the file and its folder."
    return None
