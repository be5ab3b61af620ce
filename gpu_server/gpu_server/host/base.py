"""What the server asks of the API of whoever rents this machine out. Each provider is a sibling of this file."""

from __future__ import annotations

from typing import Literal, Protocol

Asked = Literal["accepted", "gone", "refused", "failed"]
"""What became of asking: it will end, it is not there any more, this key may not, or nobody knows."""


class Host(Protocol):
    """This machine, as its provider's API knows it."""

    @property
    def name(self) -> str:
        """Return what the log calls it."""

    async def end(self) -> Asked:
        """Ask to end this machine for good, in every way that the API has; ends within seconds.

        Asking again does no harm. Nothing is raised: what goes wrong is in the answer, and its reason in the log.
        """

    async def close(self) -> None:
        """Close what is open to the API."""
