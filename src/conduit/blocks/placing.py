"""How a file gets its place: whole or not at all, and back out of it when a transaction around it is rolled back.

The bytes go to a temporary file in the same folder, are forced to the disk, and take the name in one step. In a
transaction what was there before keeps a second name beside it until the transaction ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conduit.dataflow import transactions
from conduit.errors import FileError

_CHUNK_BYTES = 1024 * 1024


def location(path: str | Path) -> Path:
    """The absolute path that a user's path means.

    Raises:
        FileError: It is no path.
    """
    text = str(path)
    if not text or "\0" in text:
        raise FileError(f"{text!r} is no path", hint="Give the path of a file.", path=text)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # no such user, or one without a home
        raise FileError(f"{text} names no home folder", hint="Write the whole path.", path=text) from error


def placed(path: Path, chunks: Iterable[bytes], *, make_folders: bool = False) -> Path:
    """Puts bytes in place of what is there, and gives the path without symbolic links.

    Raises:
        FileError: It was not written; what was there is untouched.
    """
    with _writing(path):
        target = path.resolve()
        _keep(target)
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        with temporary(target) as part:
            _write(part, chunks, _mode_of(target))
            part.replace(target)
        _force(target.parent)
    return target


def appended(path: Path, content: bytes, *, make_folders: bool = False) -> Path:
    """Adds bytes at the end of a file, which is made where it is missing.

    Raises:
        FileError: They were not written; the file is as long as before.
    """
    with _writing(path):
        target = path.resolve()
        new = _mode_of(target) is None
        _keep(target)
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            # One writer at a time, so that one that fails can take back its own bytes and nothing else.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before_bytes = os.fstat(descriptor).st_size
            try:
                _pour(descriptor, [content])
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, before_bytes)
                if new:
                    target.unlink(missing_ok=True)
                raise
        finally:
            os.close(descriptor)
    return target


def put(made: Path, target: Path) -> None:
    """Gives a complete file or folder beside ``target`` its name; a folder that is there goes out of the way."""
    _keep(target)
    if target.is_dir():
        old = _beside(target, "old")
        target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        if made.is_file() and (mode := _mode_of(target)) is not None:
            made.chmod(mode)
        made.replace(target)
    _force(target.parent)


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A name beside a file for what will take its place; what is left there at the end is removed."""
    part = _beside(target, "part")
    try:
        yield part
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            part.unlink()


def hint(error: Exception, path: Path) -> str | None:
    """What to do about an error of the file system."""
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"There is no folder {path.parent}; blocks that write make it with make_folders=True."
        return "Check the path."
    if isinstance(error, PermissionError):
        return "Check the permissions of the file and its folder."
    return None


class _Before:
    """What was in a file's place when a transaction first touched it."""

    may_refuse = False

    def __init__(self, target: Path) -> None:
        self.name = str(target)
        self._target = target
        self._missing = [folder for folder in target.parents if not folder.exists()]
        self._kept: Path | None = None
        if target.is_dir():
            self._kept, self._size_bytes = _beside(target, "before"), 0
            shutil.copytree(target, self._kept, symlinks=True, copy_function=_second_name)
        elif target.exists():
            self._kept, self._size_bytes = _beside(target, "before"), target.stat().st_size
            _second_name(target, self._kept)

    def prepare(self) -> None:
        pass

    def commit(self) -> None:
        if self._kept is not None and self._kept.is_dir():
            shutil.rmtree(self._kept, ignore_errors=True)
        elif self._kept is not None:
            self._kept.unlink(missing_ok=True)

    def rollback(self) -> None:
        if self._target.is_dir():
            shutil.rmtree(self._target)
        if self._kept is None:
            self._target.unlink(missing_ok=True)
        elif self._kept.is_dir():
            self._kept.rename(self._target)
        else:
            # What was appended went into the kept file itself. To rename it over its own other name does nothing.
            if self._kept.stat().st_size > self._size_bytes:
                os.truncate(self._kept, self._size_bytes)
            self._kept.replace(self._target)
            self._kept.unlink(missing_ok=True)
        for folder in self._missing:
            with suppress(OSError):  # others may have put something there
                folder.rmdir()


def _keep(target: Path) -> None:
    if (scope := transactions.current()) is not None:
        scope.part(("file", str(target)), lambda: _Before(target))


def _second_name(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no such names
        shutil.copy2(source, target)


def _beside(target: Path, kind: str) -> Path:
    return target.parent / f".conduit-{secrets.token_hex(8)}.{kind}"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle, before Python 3.13
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileError(
            f"{path} was not written: {reason}", hint=hint(error, path), path=str(path)
        ) from error


def _write(path: Path, chunks: Iterable[bytes], mode: int | None) -> None:
    # Made by hand, not by tempfile: a new file gets the permissions that the user's umask leaves.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        _pour(descriptor, chunks)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pour(descriptor: int, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(descriptor, rest[:_CHUNK_BYTES]) :]


def _force(folder: Path) -> None:
    # The new name must outlive a power cut too; some file systems cannot do that for folders.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
