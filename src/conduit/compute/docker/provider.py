"""The docker provider: a node is a container of an engine of this machine, found again by its labels.

An ended container stays, for its log, until it is forgotten. A container that was made and never started is a node
that may still be started, so it is listed among the living.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from conduit.compute import environment, nvidia, processes
from conduit.compute.base import Caps, ComputeProvider
from conduit.compute.docker import images
from conduit.compute.docker.container import wanted
from conduit.compute.docker.containers import Containers
from conduit.compute.docker.engine import Engine
from conduit.compute.docker.gpus import Gpus
from conduit.errors import (
    AmbiguousAnswer,
    ConduitError,
    NodeFailed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from conduit.compute.base import NodeSpec, NodeView, Offering, OfferingQuery
    from conduit.compute.owner import Owner
    from conduit.settings import Settings

_LOG = logging.getLogger(__name__)
_IMAGE, _CPU_IMAGE = "conduit-gpu-server", "conduit-gpu-server:cpu"
_LOG_TAIL_BYTES = 64 * 1024
_CLEAN_UP_S = 20.0


class DockerProvider:
    """Nodes as containers of this machine."""

    kind = ComputeProvider.DOCKER
    caps = Caps(this_machine=True, gpus=True, settle_s=5.0)

    def __init__(
        self,
        data_dir: Path,
        owner: Owner,
        *,
        engine: Engine | None = None,
        image: str | None = None,
        hf_token: SecretStr | None = None,
        nvidia_smi: str = "nvidia-smi",
        pull_timeout_s: float = 3600.0,
        term_wait_s: float = 10.0,
        kill_wait_s: float = 5.0,
    ) -> None:
        """Touches nothing yet.

        Args:
            data_dir: Conduit's data folder.
            owner: Whose nodes these are.
            engine: None is the one at its usual address.
            image: For specs that name none; None for the one that `docker build` makes as the docs say.
            hf_token: For gated models of the hub.
            nvidia_smi: The command that knows this machine's GPUs.
            pull_timeout_s: How long the download of an image may take.
            term_wait_s: How long a node may take to end when told to, before it is killed.
            kill_wait_s: How long a killed node may take to be gone.
        """
        self._owner = owner
        self._engine = engine or Engine()
        self._containers = Containers(self._engine, owner.id)
        self._gpus = Gpus(self._containers, nvidia_smi, data_dir.absolute() / "docker.lock")
        self._image = image
        self._hf_token = hf_token
        self._pull_timeout_s = pull_timeout_s
        self._term_wait_s = term_wait_s
        self._kill_wait_s = kill_wait_s

    @classmethod
    def from_settings(cls, settings: Settings, owner: Owner) -> DockerProvider:
        """The provider of these settings' engine.

        Raises:
            ProviderUnavailable: The engine is another machine's.
        """
        return cls(
            settings.data_dir,
            owner,
            engine=Engine(settings.docker_host),
            image=settings.docker_image,
            hf_token=settings.hf_token,
        )

    async def offerings(self, query: OfferingQuery, /) -> list[Offering]:
        """This machine's GPUs, free of charge; none without ``nvidia-smi``."""
        gpus = await self._gpus.here()
        taken = await self._gpus.taken() if gpus else set()
        return nvidia.offerings(self.kind, gpus, taken, query, region=None)

    async def create(self, spec: NodeSpec) -> NodeView:
        """Makes and starts a container, after a pull of its image where that is missing.

        Raises:
            MissingDependency: Docker cannot hand on NVIDIA's GPUs.
            NodeFailed: The node exists already, has no image, or could not be started; nothing is left of it.
            NoCapacity: Other containers hold the GPUs.
            ProviderUnavailable: No engine is there.
            ProviderRejected: The engine does not take the configuration.
            AmbiguousAnswer: It did not say whether the container exists.
        """
        image = spec.image or self._image or (_CPU_IMAGE if spec.offering is None else _IMAGE)
        await images.ensure(self._engine, image, node_id=spec.node_id, timeout_s=self._pull_timeout_s)
        secrets = environment.secrets(self._owner, spec)
        if self._hf_token is not None:
            secrets["HF_TOKEN"] = self._hf_token.get_secret_value()
        async with self._gpus.chosen(spec.offering) as gpus:
            body = wanted(spec, image=image, gpus=gpus, secrets=secrets)
            container_id = await self._containers.make(spec, body)
        try:
            await self._containers.start(spec.node_id, container_id)
        except BaseException as error:
            await self._undo(spec, container_id, error)
            raise
        found = await self._containers.find(spec.node_id, {"id": container_id})
        if not found:
            raise NodeFailed(
                f"The container of node {spec.node_id} was removed as soon as it was started.",
                hint="Something else removes containers on this machine (`docker system prune`?).",
                node_id=spec.node_id,
            )
        return found[0].view()

    async def list_owned(self, owner: str) -> list[NodeView]:
        """The living containers with that owner's label."""
        found = await self._containers.labelled({processes.OWNER_TAG: owner})
        return [container.view() for container in found if container.alive]

    async def get(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended; None when there is no container."""
        found = await self._containers.find(node_id, handle)
        if not found:
            return None
        container = max(found, key=lambda one: one.alive)
        return container.view(None if container.alive else await self._containers.exit_code(container.id))

    async def destroy(
        self, node_id: str, handle: Mapping[str, Any] | None = None, /, *, at_once: bool = False
    ) -> None:
        """Ends the container and returns when it runs no more. It stays, for its log.

        Raises:
            NodeFailed: It still runs after SIGKILL.
            AmbiguousAnswer: The engine does not answer.
        """
        for container in await self._containers.find(node_id, handle):
            if container.state == "created":
                await self._containers.remove(container.id, force=True)  # it never ran, so there is no log
            elif container.alive:
                await self._containers.end(
                    node_id,
                    container.id,
                    term_wait_s=0.0 if at_once else self._term_wait_s,
                    kill_wait_s=self._kill_wait_s,
                )

    async def forget(self, node_id: str) -> None:
        """Removes the container of an ended node, and with it its log.

        Raises:
            NodeFailed: The node still lives.
        """
        for container in await self._containers.find(node_id, None):
            if container.alive or not await self._containers.remove(container.id, force=False):
                raise NodeFailed(
                    f"Node {node_id} still lives, so its container stays.",
                    hint="Destroy it first.",
                    node_id=node_id,
                )

    async def endpoint(self, view: NodeView, _port: int, /) -> str | None:
        """The port of the loopback at which the container's server is published."""
        for container in await self._containers.find(view.node_id, view.handle or None):
            if container.alive and container.host_port:
                return f"http://127.0.0.1:{container.host_port}"
        return None

    async def logs(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> str:
        """The end of what the container wrote to its output."""
        found = await self._containers.find(node_id, handle)
        return "".join([await self._containers.log(one.id) for one in found])[-_LOG_TAIL_BYTES:]

    async def billed_usd(self, _node_id: str, _handle: Mapping[str, Any] | None = None, /) -> float | None:
        """Nothing: it costs nothing."""
        return 0.0

    async def aclose(self) -> None:
        """There is nothing to close: each request has a connection of its own."""

    async def _undo(self, spec: NodeSpec, container_id: str, reason: BaseException) -> None:
        """Leaves nothing of a node that did not start, also when the caller gave up."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLEAN_UP_S):
            try:
                await self._containers.remove(container_id, force=True)
            except ConduitError:
                _LOG.warning("the container of node %s may be left behind", spec.node_id)
                if not isinstance(reason, ConduitError):
                    return
                raise AmbiguousAnswer(
                    f"Node {spec.node_id} did not start, and its container could not be removed: {reason}",
                    hint="Look with `docker ps --all`.",
                    provider=self.kind,
                ) from reason
            if isinstance(reason, AmbiguousAnswer):
                raise NodeFailed(
                    f"Node {spec.node_id} was given up and removed: {reason.message}",
                    hint=reason.hint,
                    node_id=spec.node_id,
                ) from reason
