"""What an account keeps beside what runs: templates, network volumes, registries, SSH keys; plain documents."""

from __future__ import annotations

from typing import Any

from conduit.sim.runpod.problems import not_found


class Shelf:
    """Documents by kind and id."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, dict[str, Any]]] = {}
        self.ssh_keys: list[str] = []

    def put(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        """Keeps one under its ``id``, in place of what was there."""
        self._kept.setdefault(kind, {})[document["id"]] = document
        return document

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Those of a kind, oldest first."""
        return list(self._kept.get(kind, {}).values())

    def get(self, kind: str, wanted: str) -> dict[str, Any]:
        """The one of that id.

        Raises:
            Problem: There is none.
        """
        try:
            return self._kept[kind][wanted]
        except KeyError:
            raise not_found(kind, wanted) from None

    def remove(self, kind: str, wanted: str) -> None:
        """Forgets it.

        Raises:
            Problem: There is none.
        """
        self.get(kind, wanted)
        del self._kept[kind][wanted]
