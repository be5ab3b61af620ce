"""What a hub tells of a model, and how far its download is."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Protocol


class Digest(Protocol):
    """A hash that grows with the file."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Return the hash of all so far."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model.

    Attributes:
        path: Within the model, with slashes.
        sha256: Of large files.
        git_sha1: Git's own hash of the others.
    """

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def key(self) -> str | None:
        """The hash that its content must have, which is its name in the cache; None when the hub tells none."""
        return self.sha256 or self.git_sha1

    def digest(self) -> Digest:
        """Return an empty hash of the kind that `key` is of."""
        if self.sha256 is not None:
            return hashlib.sha256()
        # Git's object ids are no signature: they find damage, which is what they are used for here.
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of one commit of a model."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


class Progress:
    """How far a download is, in bytes; knows when it last moved."""

    def __init__(self) -> None:
        self.total_bytes = 0
        self.moved_at = time.monotonic()
        self._done: dict[str, int] = {}

    @property
    def done_bytes(self) -> int:
        """Bytes that are in the cache, of whole files and of parts."""
        return sum(self._done.values())

    def note(self, path: str, done_bytes: int) -> None:
        """Note how much of a file is there. Only growth is progress."""
        if done_bytes > self._done.get(path, 0):
            self.moved_at = time.monotonic()
        self._done[path] = done_bytes
