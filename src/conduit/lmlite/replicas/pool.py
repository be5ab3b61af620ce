"""The replicas of one deployment and whose turn it is. No I/O; used on one event loop only, so no locks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import SecretStr

RECHECK_S = 5.0
"""How long a replica that was set aside is left alone before it is looked at again."""


@dataclass(frozen=True)
class Replica:
    """One running server.

    Attributes:
        node_id: Its node.
        url: Base URL without ``/v1``.
        token: Its bearer token.
        log: Path of its log, for messages.
    """

    node_id: str
    url: str
    token: SecretStr
    log: str | None = None


class Pool:
    """Round robin over the replicas that are not set aside."""

    def __init__(self, replicas: Collection[Replica]) -> None:
        self.replicas = tuple(replicas)
        self._aside: dict[str, float] = {}
        self._turn = 0

    def pick(self, *, without: Collection[str] = ()) -> Replica | None:
        """The next replica, or ``None`` when all are set aside or in ``without`` (node ids)."""
        for step in range(len(self.replicas)):
            position = (self._turn + step) % len(self.replicas)
            replica = self.replicas[position]
            if replica.node_id not in self._aside and replica.node_id not in without:
                self._turn = position + 1
                return replica
        return None

    def set_aside(self, replica: Replica, now: float) -> None:
        """Sends nothing to it until it is put back."""
        self._aside[replica.node_id] = now

    def put_back(self, replica: Replica) -> None:
        """Sends to it again."""
        self._aside.pop(replica.node_id, None)

    def aside(self, *, before: float | None = None) -> list[Replica]:
        """The replicas that are set aside, or those that were before that time."""
        return [
            replica
            for replica in self.replicas
            if (since := self._aside.get(replica.node_id)) is not None and (before is None or since <= before)
        ]
