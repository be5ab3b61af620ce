"""One file from the hub into the cache: goes on where it was cut off, and counts only when its hash is right."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import Digest, Listing, Progress, RemoteFile
from gpu_server.weights.cache import Cache
from gpu_server.weights.claim import LOOK_S, STALE_S, Claim
from gpu_server.weights.hub import Hub
from gpu_server.weights.patience import Broken, Patience, TryAgain

MOST_BROKEN = 3
_READ_BYTES = 16 * 1024 * 1024
_WRITE_BYTES = 1024 * 1024


class FileFetch:
    """Fetches one file, unless another replica does.

    Args:
        hub: Where from.
        cache: Where to.
        listing: Of which model.
        file: Which one.
        progress: Told what is there.
        patience: How long it is tried.
        stale_s: How long another replica's claim counts without a sign of life.
    """

    def __init__(
        self,
        hub: Hub,
        cache: Cache,
        listing: Listing,
        file: RemoteFile,
        *,
        progress: Progress,
        patience: Patience,
        stale_s: float = STALE_S,
    ) -> None:
        self._hub = hub
        self._cache = cache
        self._listing = listing
        self._file = file
        self._progress = progress
        self._patience = patience
        self._blob = cache.blob(listing.repo, file)
        self._part = cache.part(listing.repo, file)
        self._claim = Claim(
            self._blob.with_name(f"{self._blob.name}.claim"), stale_s=stale_s, look_s=min(LOOK_S, stale_s / 4)
        )
        self._digest: Digest = file.digest()
        self._digested = 0

    async def run(self) -> None:
        """Return when the file is in the cache.

        Raises:
            LoadError: It cannot be had.
            OSError: The cache cannot be written.
        """
        if not self._is_there():
            async with self._claim.held(self._waiting) as held:
                if held and not self._is_there():
                    await self._fetch()
        self._progress.note(self._file.path, self._file.size)

    def _is_there(self) -> bool:
        return self._cache.has(self._listing.repo, self._file)

    def _waiting(self) -> bool:
        """Follow what another replica fetches."""
        self._progress.note(self._file.path, self._length())
        return not self._is_there()

    async def _fetch(self) -> None:
        failures = broken = 0
        while True:
            before = self._length()
            try:
                await self._get()
                await asyncio.to_thread(self._finish)
            except TryAgain as trouble:
                broken += isinstance(trouble, Broken)
                if broken == MOST_BROKEN:
                    raise LoadError(f"{self._listing.repo}: {trouble} ({broken} times)") from trouble
                failures = 1 if self._length() > before else failures + 1
                await self._patience.pause(trouble, failures)
            else:
                return

    async def _get(self) -> None:
        """Append what is missing.

        Raises:
            TryAgain: It broke off, or is not what it should be.
        """
        await asyncio.to_thread(self._catch_up)
        size, pending = self._file.size, bytearray()
        if self._digested < size:
            with self._opened() as target:
                try:
                    async with contextlib.aclosing(
                        self._hub.content(self._listing, self._file, self._digested)
                    ) as pieces:
                        async for piece in pieces:
                            if self._digested + len(pending) + len(piece) > size:
                                raise Broken(f"{self._file.path} is longer than its {size} bytes")
                            pending += piece
                            if len(pending) >= _WRITE_BYTES:
                                await self._write(target, pending)
                finally:
                    await self._write(target, pending)  # what came before it broke off counts
        if self._digested < size:
            raise TryAgain(f"{self._file.path} broke off after {self._digested} of {size} bytes")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        target = os.open(self._part, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            yield target
        finally:
            os.close(target)

    async def _write(self, target: int, pending: bytearray) -> None:
        if pending:
            await asyncio.to_thread(self._append, target, bytes(pending))
            pending.clear()
            self._progress.note(self._file.path, self._digested)

    def _append(self, target: int, data: bytes) -> None:
        """Write to its place, so that a second writer of the same file does no harm."""
        view, at = memoryview(data), self._digested
        while view:
            written = os.pwrite(target, view, at)
            view, at = view[written:], at + written
        self._digest.update(data)
        self._digested += len(data)

    def _catch_up(self) -> None:
        """Bring the hash to the end of what is there from before."""
        length = self._length()
        if length > self._file.size or length < self._digested:
            if length > self._file.size:
                self._part.unlink(missing_ok=True)
            self._digest, self._digested = self._file.digest(), 0
        if self._length() > self._digested:
            with self._part.open("rb") as part:
                part.seek(self._digested)
                while piece := part.read(_READ_BYTES):
                    self._digest.update(piece)
                    self._digested += len(piece)

    def _finish(self) -> None:
        """Make the part the file.

        Raises:
            Broken: Its hash is wrong, and it was dropped.
        """
        if self._file.size == 0:
            self._part.touch()
        if self._file.key is not None and self._digest.hexdigest() != self._file.key:
            self._part.unlink(missing_ok=True)
            self._digest, self._digested = self._file.digest(), 0
            raise Broken(f"{self._file.path} has another hash than {self._hub.host} states")
        try:
            _to_disk(self._part)
            self._part.replace(self._blob)
        except FileNotFoundError as error:
            # Another replica, which took us for dead, was quicker.
            if not self._is_there():
                raise TryAgain(f"{self._file.path} was taken away while it was fetched") from error

    def _length(self) -> int:
        return _length(self._part)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
