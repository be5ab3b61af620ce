"""Getting a container's image: it is there, or it is pulled, with its progress in the log."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from conduit.errors import AmbiguousAnswer, NodeFailed

if TYPE_CHECKING:
    from conduit.compute.docker.engine import Engine

_LOG = logging.getLogger(__name__)
_QUIET_S = 120.0
_TELL_S = 5.0
_MIB = 1024**2


async def ensure(engine: Engine, image: str, *, node_id: str, timeout_s: float) -> None:
    """Returns when the engine has the image.

    Args:
        engine: Where it is needed.
        image: Name with tag or digest; a name without a tag is ``latest``.
        node_id: Of the node that waits for it.
        timeout_s: How long a pull may take.

    Raises:
        NodeFailed: It is not there and cannot be pulled.
    """
    if (await engine.call("GET", f"/images/{image}/json")).status == 200:
        return
    _LOG.info("pulling the image %s", image)
    name, tag = _parts(image)
    problem = None
    try:
        async with engine.lines(
            "POST",
            "/images/create",
            params={"fromImage": name, "tag": tag},
            quiet_s=_QUIET_S,
            timeout_s=timeout_s,
        ) as (_, lines):
            progress = _Progress(image)
            async for line in lines:
                progress.take(line)
            problem = progress.problem
    except AmbiguousAnswer as error:
        # A pull makes no node, so nothing is left to be looked for.
        raise _failed(image, node_id, error.message) from error
    if problem is not None or (await engine.call("GET", f"/images/{image}/json")).status != 200:
        raise _failed(image, node_id, problem or "it is still not there after the pull")
    _LOG.info("the image %s is here", image)


class _Progress:
    """What the lines of a pull add up to."""

    def __init__(self, image: str) -> None:
        self.problem: str | None = None
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}
        self._told_at = time.monotonic()

    def take(self, line: str) -> None:
        try:
            said: Any = json.loads(line)
            self.problem = said.get("error") or said.get("message") or self.problem
            if said.get("status") == "Downloading":
                detail = said.get("progressDetail") or {}
                self._layers[str(said.get("id"))] = int(detail["current"]), int(detail["total"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # a line without figures
        if time.monotonic() - self._told_at >= _TELL_S:
            self._told_at = time.monotonic()
            done, total = (sum(layer[i] for layer in self._layers.values()) for i in (0, 1))
            _LOG.info("pulling %s: %d of %d MiB", self._image, done // _MIB, total // _MIB)


def _parts(image: str) -> tuple[str, str]:
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    # A colon before the last slash is a registry's port.
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _failed(image: str, node_id: str, problem: str) -> NodeFailed:
    return NodeFailed(
        f"Node {node_id} has no image: {image} is not on this machine and cannot be pulled: {problem.rstrip('.')}.",
        hint=f"Build it (`docker build --tag {image} gpu_server`), pull it by hand after `docker login`, or name "
        "another one in CONDUIT_DOCKER_IMAGE.",
        node_id=node_id,
    )
