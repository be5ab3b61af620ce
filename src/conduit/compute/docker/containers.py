"""The containers of one owner: made, found, started, ended and removed. What a node needs is not decided here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import anyio

from conduit.compute import environment, processes
from conduit.compute.base import ComputeProvider, check_node_id
from conduit.compute.docker.container import Container, listed, log_text
from conduit.errors import AmbiguousAnswer, MissingDependency, NodeFailed, ProviderRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conduit.compute.base import NodeSpec
    from conduit.compute.docker.engine import Answer, Engine

_LOG_TAIL_LINES = 1000
_POLL_S = 0.1
# How Docker says that it cannot hand on NVIDIA's GPUs; there is no code for it.
_NO_NVIDIA = ("could not select device driver", "nvidia-container", "unresolvable cdi devices")


class Containers:
    """What there is on an engine of one owner's."""

    def __init__(self, engine: Engine, owner: str) -> None:
        self._engine = engine
        self._owner = owner

    async def make(self, spec: NodeSpec, body: Mapping[str, Any]) -> str:
        """Makes a node's container without starting it, and returns its id.

        Raises:
            NodeFailed: It exists already.
            ProviderRejected: The engine does not take the configuration.
            AmbiguousAnswer: It may exist or not.
        """
        name = environment.name(spec.owner, spec.node_id)
        answer = await self._engine.call(
            "POST",
            "/containers/create",
            params={"name": name},
            body=body,
        )
        if answer.status == 409:
            raise NodeFailed(
                f"Node {spec.node_id} was created before: there is a container {name}.",
                hint="Make a new node id for each node.",
                node_id=spec.node_id,
            )
        return str(self._done(answer, "container").json()["Id"])

    async def start(self, node_id: str, container_id: str) -> None:
        """Starts a container.

        Raises:
            MissingDependency: Docker cannot hand on NVIDIA's GPUs.
            NodeFailed: It does not start.
        """
        answer = await self._engine.call("POST", f"/containers/{container_id}/start")
        if answer.status in (204, 304):
            return
        if any(sign in answer.message.lower() for sign in _NO_NVIDIA):
            raise MissingDependency(
                f"Docker cannot hand this machine's GPUs on to containers: {answer.message}.",
                hint="Install the NVIDIA Container Toolkit, then `sudo nvidia-ctk runtime configure "
                "--runtime=docker` and restart Docker.",
                package="nvidia-container-toolkit",
            )
        raise NodeFailed(
            f"The container of node {node_id} could not be started ({answer.status}): {answer.message}.",
            hint="Its port or its image is at fault: try `docker run` with the same image by hand.",
            node_id=node_id,
        )

    async def end(self, node_id: str, container_id: str, *, term_wait_s: float, kill_wait_s: float) -> None:
        """Ends a container and returns when it runs no more.

        Raises:
            NodeFailed: It still runs after SIGKILL.
        """
        if not term_wait_s:
            answer = await self._engine.call("POST", f"/containers/{container_id}/kill")
        else:
            # The engine itself kills it after so many seconds, also when we are not there any more.
            seconds = {"t": str(max(1, round(term_wait_s)))}
            answer = await self._engine.call(
                "POST", f"/containers/{container_id}/stop", params=seconds, more_s=term_wait_s + kill_wait_s
            )
        if answer.status not in (204, 304, 404, 409):  # 304, 409: it does not run; 404: it is gone
            self._done(answer, "container")
        deadline = time.monotonic() + kill_wait_s
        while (found := await self.find(node_id, {"id": container_id})) and found[0].alive:
            if time.monotonic() > deadline:
                raise NodeFailed(
                    f"Node {node_id} still lives {term_wait_s + kill_wait_s:.0f} s after it was told to end.",
                    hint=f"Try `docker kill {found[0].name}`; if that does nothing, restart Docker.",
                    node_id=node_id,
                )
            await anyio.sleep(_POLL_S)

    async def remove(self, container_id: str, *, force: bool) -> bool:
        """Whether the container is gone; False when it runs and may not be forced."""
        answer = await self._engine.call(
            "DELETE", f"/containers/{container_id}", params={"force": str(force).lower(), "v": "true"}
        )
        if answer.status == 409 and not force:
            return False
        if answer.status not in (404, 409):  # 409: somebody else's removal is under way
            self._done(answer, "container")
        return True

    async def find(self, node_id: str, handle: Mapping[str, Any] | None) -> list[Container]:
        """The containers of a node of this owner, or the one of the handle."""
        check_node_id(node_id)
        found = await self.labelled({processes.OWNER_TAG: self._owner, processes.NODE_TAG: node_id})
        return [one for one in found if handle is None or one.id == handle.get("id")]

    async def labelled(self, labels: Mapping[str, str]) -> list[Container]:
        """All containers with those labels; an empty value stands for any.

        Raises:
            AmbiguousAnswer: The engine does not say.
        """
        filters = {"label": [f"{name}={value}" if value else name for name, value in labels.items()]}
        answer = await self._engine.call(
            "GET", "/containers/json", params={"all": "true", "filters": json.dumps(filters)}
        )
        try:
            return [listed(item) for item in self._done(answer, "list").json()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AmbiguousAnswer(
                f"The Docker Engine's list of containers cannot be read: {type(error).__name__} {error}.",
                hint="Look with `docker ps --all`; the engine may be older than 20.10.",
                provider=ComputeProvider.DOCKER,
            ) from error

    async def exit_code(self, container_id: str) -> int | None:
        """What its first process ended with."""
        answer = await self._engine.call("GET", f"/containers/{container_id}/json")
        code = answer.json().get("State", {}).get("ExitCode") if answer.status == 200 else None
        return code if isinstance(code, int) else None

    async def log(self, container_id: str) -> str:
        """The end of what it wrote; empty when it is gone."""
        answer = await self._engine.call(
            "GET",
            f"/containers/{container_id}/logs",
            params={"stdout": "1", "stderr": "1", "tail": str(_LOG_TAIL_LINES)},
        )
        return "" if answer.status == 404 else log_text(self._done(answer, "log").content)

    def _done(self, answer: Answer, what: str) -> Answer:
        if answer.status < 300:
            return answer
        kind = AmbiguousAnswer if answer.status >= 500 else ProviderRejected
        raise kind(
            f"The Docker Engine answered {answer.status} when asked for a {what}: {answer.message}.",
            hint="Look with `docker ps --all` and in the engine's log (`journalctl -u docker`).",
            provider=ComputeProvider.DOCKER,
            status=answer.status,
        )
