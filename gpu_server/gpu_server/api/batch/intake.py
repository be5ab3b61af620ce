"""Takes in the body of a batch as it comes, line by line, into a file: no more than one line is held in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gpu_server.api.batch.lines import Row, Url, bad_row, read_line
from gpu_server.api.batch.spool import Spool
from gpu_server.errors import batch_differs, body_too_large, too_many_rows

MAX_ROWS = 50_000
"""Of one batch; what is kept of a row in memory is a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class KnownRow:
    """A row whose content is in a spool.

    Attributes:
        digest: Of what it asks.
        custom_id: The caller's name of it.
        url: Which route answers it; None for a line that is answered by its error.
        number: Its content's number in the spool.
    """

    digest: bytes
    custom_id: str | None
    url: Url | None
    number: int


class Intake:
    """The rows of one body. They become part of a batch when all have come.

    Args:
        max_line_bytes: Longest line.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self.max_rows = MAX_ROWS
        self.spool = Spool()
        self.rows: dict[str, KnownRow] = {}
        self._max_line_bytes = max_line_bytes
        self._lines = 0

    async def take(self, body: AsyncIterator[bytes]) -> None:
        """Read all of it.

        Raises:
            ApiError: It cannot be read, has too many rows, or has one custom_id for two rows.
        """
        rest, too_long = b"", False
        async for part in body:
            first, *others = part.split(b"\n")
            rest += first
            for line in others:
                self._add(rest, too_long=too_long)
                rest, too_long = line, False
            if len(rest) > self._max_line_bytes:
                rest, too_long = b"", True
        self._add(rest, too_long=too_long)

    def _add(self, line: bytes, *, too_long: bool) -> None:
        self._lines += 1
        if too_long or len(line) > self._max_line_bytes:
            self._keep(bad_row(line[:100], self._lines, body_too_large(self._max_line_bytes)))
        elif line.strip():
            self._keep(read_line(line.strip(), self._lines))

    def _keep(self, row: Row) -> None:
        known = self.rows.get(row.key)
        if known is not None:
            if known.digest != row.digest:
                raise batch_differs(row.key)
            return
        if len(self.rows) >= self.max_rows:
            raise too_many_rows(self.max_rows)
        self.rows[row.key] = KnownRow(row.digest, row.custom_id, row.url, self.spool.add(row.content))
