"""A temporary file of entries that are added at its end and read by their number. It leaves no trace when closed.

Batches are kept here and not in memory. Writes go to the kernel's cache and are small, so they are not worth a
thread.
"""

from __future__ import annotations

import tempfile
from array import array

READ_BYTES = 256 * 1024


class Spool:
    """Entries of bytes, in the order in which they were added."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="gpu_server-batch-", buffering=0)  # noqa: SIM115 - the spool's own
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries."""
        return self._ends[-1] if self._ends else 0

    def add(self, entry: bytes) -> int:
        """Add an entry and return its number, from 0."""
        start = self.size_bytes
        self._file.seek(start)
        left = memoryview(entry)
        while left:
            left = left[self._file.write(left) :]
        self._ends.append(start + len(entry))
        return len(self._ends) - 1

    def read(self, number: int) -> bytes:
        """Return one entry."""
        start = self._ends[number - 1] if number else 0
        return self._read(start, self._ends[number])

    def read_from(self, number: int) -> tuple[bytes, int]:
        """Return entries from that number on, together, and the number of the next; about `READ_BYTES` at most."""
        start = self._ends[number - 1] if number else 0
        last = number + 1
        while last < len(self._ends) and self._ends[last] - start <= READ_BYTES:
            last += 1
        return self._read(start, self._ends[last - 1]), last

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        parts: list[bytes] = []
        while start < end and (part := self._file.read(end - start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)
