"""The folder of downloaded models, in the hub's own layout, so that what other tools have fetched counts.

models--ORG--NAME/blobs/HASH              contents, each under its hash; HASH.part while it is fetched
models--ORG--NAME/snapshots/COMMIT/PATH   links to them; made when all contents are there
models--ORG--NAME/refs/REVISION           the commit that a branch or tag last was
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import Listing, RemoteFile
from gpu_server.weights.hub import hub_home
from gpu_server.weights.selection import INDEX, WEIGHTS, parts_of

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class Cache:
    """The models of one hub in one folder.

    Args:
        folder: May be on a network volume that several machines write to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def blob(self, repo: str, file: RemoteFile) -> Path:
        """Return where the content of a file goes."""
        key = file.key or re.sub(r"[^\w.-]", "-", file.path) + f"-{file.size}"
        return self._model(repo) / "blobs" / key

    def part(self, repo: str, file: RemoteFile) -> Path:
        """Return where it is while it is fetched."""
        blob = self.blob(repo, file)
        return blob.with_name(f"{blob.name}.part")

    def has(self, repo: str, file: RemoteFile) -> bool:
        """Whether the whole content is there."""
        return _size(self.blob(repo, file)) == file.size

    def kept(self, repo: str, revision: str) -> Path | None:
        """Return the folder of a whole model that is there already; of a branch or tag, as it last was."""
        commit = revision
        if not _COMMIT.fullmatch(revision):
            try:
                commit = (self._model(repo) / "refs" / revision).read_text(encoding="utf-8").strip()
            except (OSError, ValueError):
                return None
        folder = self._model(repo) / "snapshots" / commit
        return folder if _COMMIT.fullmatch(commit) and is_whole(folder) else None

    def link(self, listing: Listing, files: Iterable[RemoteFile], revision: str) -> Path:
        """Make the folder of a model whose contents are all there, and return it."""
        folder = self._model(listing.repo) / "snapshots" / listing.commit
        for file in files:
            link, blob = folder / file.path, self.blob(listing.repo, file)
            if _size(link) == file.size:
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            draft = link.with_name(f".{link.name}.{os.getpid()}")
            draft.unlink(missing_ok=True)
            try:
                draft.symlink_to(os.path.relpath(blob, link.parent))
            except OSError:  # a file system without links of this kind
                os.link(blob, draft)
            draft.replace(link)
        if not _COMMIT.fullmatch(revision):
            ref = self._model(listing.repo) / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(listing.commit, encoding="utf-8")
        return folder

    def make_room(self, repo: str, missing: Iterable[RemoteFile]) -> None:
        """Make sure that what is missing will fit.

        Raises:
            LoadError: It will not.
        """
        (self._model(repo) / "blobs").mkdir(parents=True, exist_ok=True)
        needed = sum(max(0, file.size - (_size(self.part(repo, file)) or 0)) for file in missing)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise LoadError(
                f"{repo} needs {gb(needed)} more in {self.folder}, which has {gb(free)} free: make room there, or "
                "set model_cache to a larger volume"
            )

    @contextmanager
    def guarded(self, repo: str) -> Iterator[None]:
        """Turn what the file system refuses into a reason for the operator.

        Raises:
            LoadError: With the numbers.
        """
        try:
            yield
        except OSError as error:
            if error.errno in _NO_ROOM:
                free = shutil.disk_usage(self.folder).free
                raise LoadError(
                    f"the disk of {self.folder} is full ({gb(free)} free) while {repo} is downloaded: make room "
                    "there; what is there is kept, and the next start goes on from it"
                ) from error
            why = error.strerror or type(error).__name__
            raise LoadError(
                f"cannot use {self.folder} for models ({why}): make it writable, or set model_cache to another one"
            ) from error

    def _model(self, repo: str) -> Path:
        return self.folder / f"models--{repo.replace('/', '--')}"


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the hub's own cache of this user."""
    given = environment.get("HF_HUB_CACHE")
    return Path(given) if given else hub_home(environment) / "hub"


def is_whole(folder: Path) -> bool:
    """Tell whether a model's folder has its configuration, a tokenizer, and all weights, none of them empty."""
    if not _size(folder / "config.json") or not any(_size(file) for file in folder.glob("*token*")):
        return False
    index = folder / INDEX
    try:
        parts = parts_of(index.read_bytes()) if index.exists() else None
    except (LoadError, OSError):
        return False
    found = [folder / part for part in parts] if parts is not None else list(folder.glob(f"*{WEIGHTS}"))
    return bool(found) and all(_size(file) for file in found)


def gb(size: int) -> str:
    """Return a size as disks are sold: in units of 10^9 bytes."""
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.3f} MB"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
