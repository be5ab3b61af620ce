"""The block that fetches a large file to the disk: in a stream, resumed where it was cut, complete or not at all.

What has come so far stands beside the file as ``.NAME.part``, with a note of the server's own name of that version.
A later attempt, in this call or the next, asks for the rest of that version, and starts anew when there is another.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import httpx

from conduit.blocks.http_exchange import Answer, Exchange, shown
from conduit.blocks.placing import hint, location, put
from conduit.dataflow import block, progress
from conduit.errors import FileError, HttpError, HttpTimeout, HttpTooLarge

MAX_BYTES = 64 * 1024**3
TIMEOUT_S = 3600.0
SILENCE_S = 30.0
RETRIES = 5


@dataclass(frozen=True)
class Download:
    """A file that came whole; ``resumed_bytes`` of it were there from an earlier attempt."""

    url: str
    path: str
    size_bytes: int
    sha256: str
    resumed_bytes: int


@block
def http_download(
    url: str,
    path: str | Path,
    *,
    headers: Mapping[str, str] | None = None,
    sha256: str | None = None,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    silence_s: float = SILENCE_S,
    retries: int = RETRIES,
    make_folders: bool = False,
) -> Download:
    """Fetches a URL to a file, which takes its name in one step when all of it is there.

    An attempt that is cut is resumed where it ended, also by a later call, when the server can do that and still
    has the same version.

    Args:
        url: An http or https address.
        path: The file; ``~`` is the user's home.
        headers: Request headers.
        sha256: What the file must be, in 64 hex digits; a file that is not is removed.
        max_bytes: Largest file accepted.
        timeout_s: Limit of one attempt.
        silence_s: How long a server may send nothing.
        retries: Further attempts, as in ``http_get``, and after silence.
        make_folders: Make the folders above the file where they are missing.

    Raises:
        HttpStatusError: The status was 4xx or 5xx after all attempts.
        HttpTooLarge: The file is larger than ``max_bytes``.
        HttpTimeout: An attempt took too long, or the server was silent.
        HttpError: The server cannot be reached, or the file is not the one that ``sha256`` names.
        FileError: It cannot be written.
    """
    place = location(path)
    try:
        target = place.resolve()
        if target.is_dir():
            raise FileError(f"{place} is a folder", hint="Give the path of a file.", path=str(place))
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target) as part:
            transfer = _Transfer(
                "GET", url, timeout_s, max_bytes, raise_for_status=True, part=part, silent_s=silence_s
            )
            resumed_bytes = part.begun(url)
            # The bytes themselves, and not a packed form whose length means nothing.
            answer = transfer.run(retries, headers={**(headers or {}), "accept-encoding": "identity"})
            digest, size_bytes = part.finished()
            if sha256 is not None and digest != sha256.lower():
                part.remove()
                raise HttpError(
                    f"{shown(url)} is not the file asked for: its SHA-256 is {digest}, not {sha256.lower()}",
                    hint="The file was removed. Check where the checksum comes from.",
                    url=shown(url),
                )
            put(part.path, target)
            part.remove()
    except (OSError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileError(
            f"{place} was not written: {reason}", hint=hint(error, place), path=str(place)
        ) from error
    return Download(answer.url, str(target), size_bytes, digest, min(part.kept_bytes, resumed_bytes))


class _Part:
    """What has come of a file so far, and which version of it."""

    def __init__(self, target: Path, file: FileIO) -> None:
        self.path = _part_path(target)
        self.kept_bytes = 0
        self._note = self.path.with_suffix(".part.json")
        self._file = file
        self._url = self._version = ""

    def begun(self, url: str) -> int:
        """How much there is of the file at this address."""
        # Addresses may hold secrets, so a digest stands for it.
        self._url = hashlib.sha256(url.encode()).hexdigest()
        try:
            note = json.loads(self._note.read_bytes())
            if note["url"] == self._url:
                self._version = str(note["version"])
        except (OSError, ValueError, KeyError, TypeError):
            self._version = ""
        if not self._version:
            self.start("")
        return self.size_bytes

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def ask(self) -> dict[str, str]:
        """The headers that ask for the rest of this version."""
        self.kept_bytes = self.size_bytes
        return {"range": f"bytes={self.kept_bytes}-", "if-range": self._version} if self.kept_bytes else {}

    def start(self, version: str) -> None:
        """Forgets what there is: another version comes, from its beginning."""
        self.kept_bytes = 0
        self._file.truncate(0)
        self._version = version
        if version:
            self._note.write_text(json.dumps({"url": self._url, "version": version}))
        else:  # what has no name cannot be resumed
            self._note.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finished(self) -> tuple[str, int]:
        """SHA-256 and size of the whole, which is on the disk then."""
        os.fsync(self._file.fileno())
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest(), self.size_bytes

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[_Part]:
    path = _part_path(target)
    with _locked(path, target) as file:
        part = _Part(target, file)
        try:
            yield part
        finally:
            if not part.size_bytes:
                part.remove()


def _locked(path: Path, target: Path) -> FileIO:
    """The file at a path, for this call alone."""
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another call may have finished just now, and given the file its name.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BlockingIOError as error:
            file.close()
            raise FileError(
                f"{target} is being fetched by another call", hint="Wait for it to end.", path=str(target)
            ) from error
        file.close()


def _part_path(target: Path) -> Path:
    return target.parent / f".{target.name}.part"


@dataclass(frozen=True)
class _Transfer(Exchange):
    """An exchange whose answer goes to the disk, and whose attempts go on from each other."""

    part: _Part = field(kw_only=True)
    silent_s: float = field(kw_only=True)

    @property
    def silence_s(self) -> float:
        return self.silent_s

    def _retry(self, error: Exception) -> bool | float:
        return isinstance(error, HttpTimeout) or super()._retry(error)

    def _once(self, client: httpx.Client, arguments: dict[str, Any]) -> Answer:
        return super()._once(client, {**arguments, "headers": {**arguments["headers"], **self.part.ask()}})

    def _read(self, response: httpx.Response) -> Answer:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and self.part.kept_bytes:
            self.part.start("")
            raise httpx.RemoteProtocolError("the part that is here is longer than the file")
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise self._status_error(response)
        if response.status_code != httpx.codes.PARTIAL_CONTENT or not self._continues(response):
            if response.status_code == httpx.codes.PARTIAL_CONTENT:
                self.part.start("")
                raise httpx.RemoteProtocolError("the server sent another part than was asked for")
            self.part.start(_version(response))
        # A packed form that nobody asked for has another length.
        length = "" if _packed(response) else response.headers.get("content-length", "")
        total = self.part.kept_bytes + int(length) if length.isdecimal() else None
        if total is not None and total > self.max_bytes:
            raise self._too_large(f"announces {total} bytes")
        self._pour(response, total)
        return Answer(str(response.url.copy_with(userinfo=b"")), response.status_code, {}, b"", None)

    def _pour(self, response: httpx.Response, total: int | None) -> None:
        mib = 1024 * 1024
        shown_total = None if total is None else -(-total // mib)
        seen = progress.of_map()
        with seen.lasting(f"{self.part.path.name[1:].removesuffix('.part')} (MiB)", shown_total):
            told = 0
            for chunk in response.iter_bytes():
                size_bytes = self.part.size_bytes + len(chunk)
                if size_bytes > self.max_bytes:
                    self.part.start("")
                    raise self._too_large(f"sent {size_bytes} bytes and goes on")
                self.part.write(chunk)
                seen.advanced(size_bytes // mib - told, 0)
                told = size_bytes // mib
        if total is not None and self.part.size_bytes != total:
            raise httpx.RemoteProtocolError(f"{self.part.size_bytes} of {total} bytes came")

    def _continues(self, response: httpx.Response) -> bool:
        found = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", response.headers.get("content-range", ""))
        return found is not None and int(found[1]) == self.part.kept_bytes

    def _too_large(self, what: str) -> HttpTooLarge:
        return HttpTooLarge(
            f"{self} {what}; the limit is {self.max_bytes} bytes",
            hint="Give a larger max_bytes if the disk has room for it.",
            url=shown(self.url),
            limit_bytes=self.max_bytes,
        )


def _version(response: httpx.Response) -> str:
    """What the server calls this version; empty where it gives no name that a part of it can be asked by."""
    if _packed(response):
        return ""
    tag: str = response.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    # Such a date holds for a second, and is no name for what may have changed within it; servers know that.
    modified: str = response.headers.get("last-modified", "")
    return modified


def _packed(response: httpx.Response) -> bool:
    return str(response.headers.get("content-encoding", "identity")).lower() != "identity"
