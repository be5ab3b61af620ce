"""Large results of the cache, a file each: written under another name and then renamed, so never half there."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_STRAY_S = 600.0


class Files:
    """The files of one cache, in up to 256 folders by the beginning of their keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, key: str, data: bytes) -> str:
        """Writes a result and gives its name; nothing of it is there when that fails.

        Raises:
            OSError: It cannot be written.
        """
        name = f"{key[:2]}/{key}.{secrets.token_hex(6)}"
        path = self._folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = path.with_name(f".{path.name}")
        try:
            begun.write_bytes(data)
            begun.replace(path)
        except BaseException:
            begun.unlink(missing_ok=True)
            raise
        return name

    def read(self, name: str) -> bytes | None:
        """A result; ``None`` when it is gone."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def remove(self, names: Iterable[str | None]) -> None:
        """Removes results; those that are gone already are."""
        for name in names:
            if name is not None:
                try:
                    (self._folder / name).unlink(missing_ok=True)
                except OSError:
                    continue  # swept later

    def folders(self) -> list[Path]:
        """The folders that there are."""
        try:
            return [folder for folder in self._folder.iterdir() if folder.is_dir()]
        except OSError:
            return []

    def sweep(
        self, folder: Path, known: Callable[[Iterable[str]], set[str]], older_than_s: float = _STRAY_S
    ) -> int:
        """Removes what no index knows, as a process that is killed leaves it; gives how many that were.

        Args:
            folder: One of ``folders``.
            known: Which of these names the index has.
            older_than_s: Younger ones may be somebody's who is about to say so.
        """
        limit = time.time() - older_than_s
        try:
            old = [f"{folder.name}/{file.name}" for file in folder.iterdir() if file.stat().st_mtime <= limit]
        except OSError:
            return 0
        strays = set(old) - known(old)
        self.remove(strays)
        return len(strays)
