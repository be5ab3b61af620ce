"""Results by key, in the data folder, for all threads and processes of a user; bounded, the least used go first.

What is found is what was put, whole, or nothing: each result carries a checksum. Nothing here raises for a call's
sake: what cannot be read is not there, and what cannot be written is said once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conduit.dataflow.caching import index
from conduit.dataflow.caching.files import Files
from conduit.errors import CacheUnavailable

logger = logging.getLogger(__name__)

# Up to this size a result lies in the index itself: to open a file would cost more than to read it.
_INLINE = 16 * 1024
# What an entry takes beside its data, roughly.
_OVERHEAD = 512
# Entries that one transaction evicts, so that none holds up others for long.
_STEP = 64
# A file that is gone may have been replaced between the look into the index and the one at it.
_LOOKS = 3
# Uses are written together: after so many, or after so long.
_TOUCHES = 64
_TOUCHES_S = 5.0
# One of so many writers looks into one of 256 folders for what killed processes left.
_SWEEP_ONE_IN = 64


@dataclass(frozen=True)
class BlockEntries:
    """What the cache holds of one block; times are Unix seconds."""

    block: str
    entries: int
    bytes: int
    hits: int
    oldest_at: float
    newest_at: float


@dataclass(frozen=True)
class _Entry:
    created_at: float
    checksum: bytes
    file: str | None
    data: bytes | None


class Shelf:
    """One cache.

    Args:
        folder: Where it lies.
        max_bytes: How large it may grow.

    Raises:
        CacheUnavailable: The folder cannot be used, or a newer Conduit wrote it.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._path = folder / "index.db"
        self._files = Files(folder / "results")
        self._lock = threading.Lock()
        self._database = index.opened(self._path)
        self._inode = index.inode_of(self._path)
        self._touched: dict[str, int] = {}
        self._touched_since = 0.0
        self._said: set[str] = set()
        self._pid = os.getpid()

    @property
    def of_this_process(self) -> bool:
        """Whether it was opened here, and not before this process was forked."""
        return self._pid == os.getpid()

    def get(self, key: str, ttl_s: float | None = None) -> bytes | None:
        """The result of that key, if it is there and not older than ``ttl_s``."""
        with self._usable("read"):
            for _ in range(_LOOKS):
                found = self._entry(key)
                if found is None or found.data is not None:
                    break
            if found is None or (ttl_s is not None and time.time() - found.created_at > ttl_s):
                return None
            if found.data is None or _checksum(key, found.data) != found.checksum:
                self._forget(key, found)
                return None
            self._touch(key)
            return found.data
        return None

    def put(self, key: str, block: str, data: bytes) -> None:
        """Keeps a result, in place of the one that was there, and evicts what has become too much."""
        size = len(data) + _OVERHEAD
        if size > self.max_bytes:
            self._say(
                "large", "A result of %s has %d bytes: it is larger than the cache may be.", block, size
            )
            return
        with self._usable("written"):
            file = self._files.write(key, data) if len(data) > _INLINE else None
            now = time.time()
            try:
                with self._transaction() as database:
                    gone = self._delete(database, "key = ?", (key,))
                    database.execute(
                        "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                        (key, block, size, file, _checksum(key, data), now, now),
                    )
                    if file is None:
                        database.execute("INSERT INTO content VALUES (?, ?)", (key, data))
                    self._write_touches(database)
            except BaseException:
                self._files.remove([file])
                raise
            self._files.remove(gone)
            self._evict()
            if random.randrange(_SWEEP_ONE_IN) == 0:  # noqa: S311 # chance, not a secret
                self.sweep(random.sample(folders, 1) if (folders := self._files.folders()) else [])

    def entries(self, block: str | None = None) -> list[BlockEntries]:
        """What there is, by block.

        Raises:
            CacheUnavailable: It cannot be read.
        """
        with self._asked(), self._transaction() as database:
            self._write_touches(database)
            rows = database.execute(
                "SELECT block, COUNT(*), SUM(size), SUM(hits), MIN(created_at), MAX(created_at) FROM entry "
                "WHERE ? IS NULL OR block = ? GROUP BY block ORDER BY SUM(size) DESC",
                (block, block),
            ).fetchall()
        return [BlockEntries(*row) for row in rows]

    def clear(self, block: str | None = None, older_than_s: float | None = None) -> tuple[int, int]:
        """Removes all, or a block's, or what was made longer ago; gives how many that were, and their bytes.

        Raises:
            CacheUnavailable: It cannot be written.
        """
        limit = None if older_than_s is None else time.time() - older_than_s
        entries, size = 0, 0
        with self._asked():
            while True:
                with self._transaction() as database:
                    before = database.execute("SELECT entries, bytes FROM total").fetchone()
                    gone = self._delete(
                        database,
                        "key IN (SELECT key FROM entry WHERE (? IS NULL OR block = ?) "
                        "AND (? IS NULL OR created_at < ?) LIMIT 1000)",
                        (block, block, limit, limit),
                    )
                    after = database.execute("SELECT entries, bytes FROM total").fetchone()
                self._files.remove(gone)
                entries, size = entries + before[0] - after[0], size + before[1] - after[1]
                if not gone:
                    break
            self.sweep(self._files.folders())
            with self._lock:
                try:
                    self._database.execute("VACUUM")
                except sqlite3.OperationalError:
                    logger.debug("the index keeps its size: somebody uses it")
        return entries, size

    def sweep(self, folders: Iterable[Path], older_than_s: float = 600.0) -> int:
        """Removes files that the index does not know, of these folders; gives how many that were."""
        return sum(self._files.sweep(folder, self._known, older_than_s) for folder in folders)

    def close(self) -> None:
        """Writes which results were used, and closes the index."""
        if not self.of_this_process:
            return  # the connection is another process's
        try:
            with self._transaction() as database:
                self._write_touches(database)
        except sqlite3.Error as error:
            logger.debug("uses of the cache were not written: %s", error)
        with self._lock:
            self._database.close()

    def _known(self, names: Iterable[str]) -> set[str]:
        with self._lock:
            return {
                name
                for name in names
                if self._database.execute(
                    "SELECT 1 FROM entry WHERE key = ? AND file = ?", (name[3:].partition(".")[0], name)
                ).fetchone()
            }

    def _entry(self, key: str) -> _Entry | None:
        with self._lock:
            row = self._database.execute(
                "SELECT created_at, checksum, file, data FROM entry LEFT JOIN content USING (key) WHERE key = ?",
                (key,),
            ).fetchone()
        if row is None:
            return None
        created_at, checksum, file, data = row
        return _Entry(created_at, checksum, file, data if file is None else self._files.read(file))

    def _forget(self, key: str, torn: _Entry) -> None:
        """Removes an entry whose data is torn or gone; not one that was put in its place."""
        with self._transaction() as database:
            gone = self._delete(
                database, "key = ? AND checksum = ? AND file IS ?", (key, torn.checksum, torn.file)
            )
        self._files.remove(gone)

    def _evict(self) -> None:
        while True:
            with self._lock:
                if self._database.execute("SELECT bytes FROM total").fetchone()[0] <= self.max_bytes:
                    return
            with self._transaction() as database:
                over = database.execute("SELECT bytes FROM total").fetchone()[0] - self.max_bytes
                oldest = []
                rows = database.execute("SELECT key, size FROM entry ORDER BY used_at LIMIT ?", (_STEP,))
                for key, size in rows.fetchall():
                    if over <= 0:
                        break
                    oldest.append(key)
                    over -= size
                marks = ",".join("?" * len(oldest))
                gone = self._delete(database, f"key IN ({marks})", oldest)  # question marks
            self._files.remove(gone)
            if not gone:
                return

    def _delete(self, database: sqlite3.Connection, where: str, values: Iterable[object]) -> list[str | None]:
        rows = database.execute(f"DELETE FROM entry WHERE {where} RETURNING file", tuple(values))  # noqa: S608 # written here
        return [file for (file,) in rows.fetchall()]

    def _touch(self, key: str) -> None:
        now = time.time()
        with self._lock:
            if not self._touched:
                self._touched_since = now
            self._touched[key] = self._touched.get(key, 0) + 1
            enough = len(self._touched) >= _TOUCHES or now - self._touched_since > _TOUCHES_S
        if enough:
            with self._transaction() as database:
                self._write_touches(database)

    def _write_touches(self, database: sqlite3.Connection) -> None:
        touched, self._touched = self._touched, {}
        now = time.time()
        database.executemany(
            "UPDATE entry SET used_at = ?, hits = hits + ? WHERE key = ?",
            [(now, count, key) for key, count in touched.items()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """For somebody who asked about the cache itself, and is to be told what is wrong."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and index.is_damage(error):
                self._replace()
            raise index.unusable(self._path, error) from error

    @contextmanager
    def _usable(self, what: str) -> Iterator[None]:
        """For calls: whatever is wrong with the cache, they go on without it."""
        try:
            yield
        except sqlite3.Error as error:
            if index.is_damage(error):
                self._replace()
            elif error.sqlite_errorname in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                logger.debug("the cache was not %s: %s", what, error)
            else:
                self._say(
                    what, "The cache in %s cannot be %s: %s. Calls go on without.", self.folder, what, error
                )
        except OSError as error:
            self._say(
                what, "The cache in %s cannot be %s: %s. Calls go on without.", self.folder, what, error
            )

    def _replace(self) -> None:
        with self._lock:
            try:
                self._database = index.replaced(self._path, self._database, self._inode)
                self._inode = index.inode_of(self._path)
            except (CacheUnavailable, sqlite3.Error) as error:
                self._say("replaced", "%s", error)

    def _say(self, what: str, message: str, *values: object) -> None:
        if what not in self._said:
            self._said.add(what)
            logger.warning(message, *values)


def _checksum(key: str, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16, key=key.encode()[:64]).digest()
