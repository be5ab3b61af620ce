"""The cache's index: a SQLite file that says which results there are, and holds the small ones.

It is opened under a lock, so that of many processes one makes or replaces it. An index that is damaged is set
aside; one of a newer version is left alone.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from filelock import Timeout as LockTimeout

from conduit.errors import CacheUnavailable

logger = logging.getLogger(__name__)

VERSION = 1
_BUSY_S = 5.0
_LOCK_S = 30.0
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

# The sums are kept as rows come and go: to add up a large cache at each eviction would cost more than it holds.
_TABLES = """
CREATE TABLE entry (
    key TEXT PRIMARY KEY,
    block TEXT NOT NULL,
    size INTEGER NOT NULL,
    file TEXT,
    checksum BLOB NOT NULL,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL,
    hits INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX entry_used ON entry (used_at);
CREATE INDEX entry_block ON entry (block);
CREATE TABLE content (key TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE total (only INTEGER PRIMARY KEY CHECK (only = 1), bytes INTEGER NOT NULL, entries INTEGER NOT NULL);
INSERT INTO total VALUES (1, 0, 0);
CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
    UPDATE total SET bytes = bytes + NEW.size, entries = entries + 1;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entry BEGIN
    UPDATE total SET bytes = bytes - OLD.size, entries = entries - 1;
    DELETE FROM content WHERE key = OLD.key;
END;
"""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is no database any more."""
    return (error.sqlite_errorname or "").startswith(_DAMAGED)


def opened(path: Path) -> sqlite3.Connection:
    """Opens the index, and makes it where there is none.

    Raises:
        CacheUnavailable: The folder cannot be used, or a newer Conduit made the index.
    """
    with _alone(path):
        try:
            return _connected(path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise unusable(path, error) from error
        _set_aside(path)
        try:
            return _connected(path)
        except sqlite3.Error as error:
            raise unusable(path, error) from error


def replaced(path: Path, connection: sqlite3.Connection, inode: int) -> sqlite3.Connection:
    """Opens a new index in place of a damaged one, unless another process has done so.

    Args:
        path: The index.
        connection: To the damaged one; it is closed.
        inode: Of the file that it is open on.

    Raises:
        CacheUnavailable: That cannot be done.
    """
    connection.close()
    with _alone(path):
        if inode == inode_of(path):
            _set_aside(path)
    return opened(path)


def inode_of(path: Path) -> int:
    """Which file lies there; 0 for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def unusable(path: Path, error: Exception) -> CacheUnavailable:
    """The error for a cache that cannot be used."""
    return CacheUnavailable(
        f"The cache in {path.parent} cannot be used: {error}.",
        hint="Make that folder writable and free some space, or set CONDUIT_DATA_DIR to another one.",
        path=str(path.parent),
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(path.parent / "opening.lock", timeout=_LOCK_S):
            yield
    except (OSError, LockTimeout) as error:
        raise unusable(path, error) from error


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        _check(path, version)
        connection.execute("PRAGMA journal_mode = WAL")
        # A result that a power cut takes is made again; a process that is killed takes none.
        connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        connection.execute("SELECT bytes FROM total").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path, version: int) -> None:
    if version > VERSION:
        raise CacheUnavailable(
            f"The cache in {path.parent} was written by a newer Conduit: its version is {version}, this one knows "
            f"{VERSION}.",
            hint=f"Upgrade Conduit, set CONDUIT_DATA_DIR to another folder, or remove {path.parent}: it holds "
            "nothing that cannot be made again.",
            path=str(path.parent),
        )


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".damaged")
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.replace(aside)
    logger.warning("The cache's index %s was damaged. It lies in %s now, and a new one begins.", path, aside)
