"""The logs of pods and workers: RunPod tells them as event streams that do not end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from conduit.compute.runpod.views import PATHS

if TYPE_CHECKING:
    from conduit.compute.runpod.api import Api
    from conduit.compute.runpod.views import Kind

_TAIL_BYTES = 64 * 1024
_LINES = 1000
_READ_BYTES = 1024 * 1024
_QUIET_S = 1.0  # what is on record comes at once; a pause means that the rest has yet to be written
_WORKERS = 4


async def tail(api: Api, kind: Kind, known_as: str) -> str:
    """The end of the log, at most 64 KiB; of an endpoint, those of a few of its workers.

    Raises:
        ProviderError: As ``Api.items``.
    """
    base = f"{PATHS[kind]}/{known_as}"
    if kind == "pod":
        return _end(await _read(api, f"{base}/logs"))
    shown = (await api.find(f"{base}/workers") or {}).get("workers")
    ids = [each.get("id") for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []
    parts = [f"worker {each}:\n{await _read(api, f'{base}/workers/{each}/logs')}" for each in ids[:_WORKERS]]
    return _end("\n".join(parts))


async def _read(api: Api, path: str) -> str:
    asked: dict[str, str | int] = {"source": "container", "tail": _LINES}
    return "\n".join(lines(await api.events(path, asked, quiet_s=_QUIET_S, max_bytes=_READ_BYTES)))


def lines(stream: bytes) -> list[str]:
    """The log lines of an event stream; what is cut off or no event is left out."""
    found = []
    for line in stream.decode(errors="replace").splitlines():
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line.removeprefix("data:"))
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("line"), str):
            found.append(event["line"])
    return found


def _end(text: str) -> str:
    return text.encode()[-_TAIL_BYTES:].decode(errors="ignore")
