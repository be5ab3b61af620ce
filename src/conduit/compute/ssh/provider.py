"""The ssh provider: a node is a gpu_server process of a host that the user names, reached through a tunnel.

The server listens on its host's loopback only. Nothing of Conduit stays on the host but the node's folder; what is
done there, ``agent`` does, a program that is sent along with each request.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from conduit.compute import environment, nvidia, processes
from conduit.compute.base import Caps, ComputeProvider, NodeStatus, NodeView, check_node_id
from conduit.compute.ssh.hosts import Hosts
from conduit.errors import (
    AmbiguousAnswer,
    ConduitError,
    NoCapacity,
    NodeFailed,
    ProviderRejected,
    ProviderUnavailable,
)
from conduit.settings import SshHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from conduit.compute.base import NodeSpec, Offering, OfferingQuery
    from conduit.compute.nvidia import Gpu
    from conduit.compute.owner import Owner
    from conduit.settings import Settings

_LOG = logging.getLogger(__name__)


class SshProvider:
    """Nodes as processes of hosts."""

    kind = ComputeProvider.SSH
    caps = Caps(this_machine=False, gpus=True, settle_s=10.0)

    def __init__(
        self,
        hosts: Sequence[SshHost],
        owner: Owner,
        *,
        known_hosts: Path | None = None,
        hf_token: SecretStr | None = None,
        connect_s: float = 10.0,
        answer_s: float = 30.0,
        term_wait_s: float = 10.0,
        kill_wait_s: float = 5.0,
    ) -> None:
        """Connects to nothing yet.

        Args:
            hosts: Where nodes may run.
            owner: Whose nodes these are.
            known_hosts: File with the hosts' keys; None for the user's own.
            hf_token: For gated models of the hub.
            connect_s: How long to wait for a connection.
            answer_s: How long a host may take to answer, beyond what is waited for there.
            term_wait_s: How long a node may take to end when told to, before it is killed.
            kill_wait_s: How long a killed node may take to be gone.
        """
        self._hosts = {host.host: host for host in hosts}
        self._owner = owner
        self._hf_token = hf_token
        self._ways = Hosts(owner.id, known_hosts, connect_s=connect_s, answer_s=answer_s)
        self._term_wait_s = term_wait_s
        self._kill_wait_s = kill_wait_s

    @classmethod
    def from_settings(cls, settings: Settings, owner: Owner) -> SshProvider:
        """The provider of the hosts in the settings."""
        return cls(
            settings.ssh_hosts, owner, known_hosts=settings.ssh_known_hosts, hf_token=settings.hf_token
        )

    async def offerings(self, query: OfferingQuery, /) -> list[Offering]:
        """The hosts' GPUs, free of charge; hosts that cannot be reached are left out, unless none can.

        Raises:
            ProviderUnavailable: No hosts are named, or nvidia-smi does not work on them.
        """
        answers, errors = await self._ways.ask_all(self._named(), "gpus", query=nvidia.QUERY)
        for error in errors:
            _LOG.warning("a host is left out: %s", error.message)
        if errors and not answers:
            raise errors[0]
        found = []
        for host, answer in answers.items():
            gpus = self._gpus(self._hosts[host], answer)
            found += nvidia.offerings(self.kind, gpus, answer["taken"], query, region=host)
        return found

    async def create(self, spec: NodeSpec) -> NodeView:
        """Starts a server on the offering's host; without an offering on the one with the fewest nodes of ours.

        Raises:
            MissingDependency: gpu_server is not installed on the host, or asyncssh not here.
            NodeFailed: The node exists already, or could not be started; nothing is left of it.
            NoCapacity: The host cannot be reached, or other nodes hold its GPUs.
            ProviderRejected: The offering is of no host that is named.
            AmbiguousAnswer: The host did not say whether the node was started.
        """
        host = await self._placed(spec)
        try:
            await self._ways.reach(host)
        except AmbiguousAnswer as error:
            # Nothing was asked of it yet, so another host may be.
            raise NoCapacity(error.message, hint=error.hint, provider=self.kind) from error
        candidates: list[str] = []
        if spec.offering is not None:
            gpus = self._gpus(host, await self._ways.ask(host, "gpus", query=nvidia.QUERY))
            candidates = [gpu.uuid for gpu in gpus if gpu.type == spec.offering.gpu]
        secrets = environment.secrets(self._owner, spec)
        if self._hf_token is not None:
            secrets["HF_TOKEN"] = self._hf_token.get_secret_value()
        left_out = ("announce", "tls_certificate", "tls_key", "log_dir")  # files of this machine
        made = await self._ways.ask(
            host,
            "start",
            node_id=spec.node_id,
            tags=environment.tags(spec),
            config={name: value for name, value in spec.config.items() if name not in left_out},
            command=list(host.server),
            secrets=secrets,
            gpus=candidates,
            gpu_count=0 if spec.offering is None else spec.offering.gpu_count,
        )
        return self._view(host, made)

    async def list_owned(self, owner: str) -> list[NodeView]:
        """The living nodes of that owner on all hosts.

        Raises:
            AmbiguousAnswer: A host cannot be reached, so nobody knows what runs there.
        """
        answers, errors = await self._ways.ask_all(self._hosts.values(), "look", owner=owner)
        _raise_first(errors)
        return [self._view(self._hosts[host], node) for host, nodes in answers.items() for node in nodes]

    async def get(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended; None when neither process nor folder is left on any host.

        Raises:
            AmbiguousAnswer: It was not found, and not every host could be asked.
        """
        check_node_id(node_id)
        hosts = self._of(handle)
        answers, errors = await self._ways.ask_all(hosts, "look", node_id=node_id)
        known = {host.host: host for host in hosts}
        found = [self._view(known[host], node) for host, nodes in answers.items() for node in nodes]
        if not found:
            _raise_first(errors)
        return max(found, key=lambda view: view.alive, default=None)

    async def destroy(
        self, node_id: str, handle: Mapping[str, Any] | None = None, /, *, at_once: bool = False
    ) -> None:
        """Ends the node's processes and returns when they are gone. Its folder stays, for the log.

        Raises:
            NodeFailed: A process survived SIGKILL.
            AmbiguousAnswer: A host cannot be reached.
        """
        check_node_id(node_id)
        term_wait_s = 0.0 if at_once else self._term_wait_s
        known = {host.host: host for host in self._of(handle)}
        answers, errors = await self._ways.ask_all(
            known.values(),
            "end",
            more_s=term_wait_s + self._kill_wait_s,
            node_id=node_id,
            term_wait_s=term_wait_s,
            kill_wait_s=self._kill_wait_s,
        )
        for host, gone in answers.items():
            if not gone:
                raise NodeFailed(
                    f"Node {node_id} still lives on {host} {term_wait_s + self._kill_wait_s:.0f} s after it "
                    "was told to end.",
                    hint="Try `conduit down` again: it may wait for a device or a disk.",
                    node_id=node_id,
                )
            await self._ways.close_tunnel(known[host], node_id)
        _raise_first(errors)

    async def forget(self, node_id: str) -> None:
        """Removes the folder of an ended node.

        Raises:
            NodeFailed: The node still lives.
            AmbiguousAnswer: A host cannot be reached.
        """
        check_node_id(node_id)
        _, errors = await self._ways.ask_all(self._hosts.values(), "forget", node_id=node_id)
        _raise_first(errors)

    async def endpoint(self, view: NodeView, _port: int, /) -> str | None:
        """A port of this machine that leads to the node's server; good until ``aclose``."""
        for host in self._of(view.handle or None):
            for node in await self._ways.ask(host, "look", node_id=view.node_id):
                if node["pid"] is not None and node["port"] is not None:
                    port = await self._ways.tunnel(host, view.node_id, int(node["port"]))
                    return f"http://127.0.0.1:{port}"
            await self._ways.close_tunnel(host, view.node_id)
        return None

    async def logs(self, node_id: str, handle: Mapping[str, Any] | None = None, /) -> str:
        """The end of what the node's processes wrote to their output."""
        check_node_id(node_id)
        answers, errors = await self._ways.ask_all(self._of(handle), "log", node_id=node_id)
        if not any(answers.values()):
            _raise_first(errors)
        return "".join(answers.values())

    async def billed_usd(self, _node_id: str, _handle: Mapping[str, Any] | None = None, /) -> float | None:
        """Nothing: the hosts are the user's."""
        return 0.0

    async def aclose(self) -> None:
        """Closes the connections and ports that no other provider object uses."""
        await self._ways.aclose()

    def _named(self) -> list[SshHost]:
        if not self._hosts:
            raise ProviderUnavailable(
                "compute_provider='ssh' has no hosts.",
                hint="""Name them: CONDUIT_SSH_HOSTS='["user@host", {"host": "user@other:2222", "gpus": 2}]'.""",
            )
        return list(self._hosts.values())

    def _of(self, handle: Mapping[str, Any] | None) -> list[SshHost]:
        """The host of a handle, also when the settings do not name it any more; without one all of them."""
        if handle is None:
            return list(self._hosts.values())
        return [self._hosts.get(handle["host"]) or SshHost(host=handle["host"])]

    async def _placed(self, spec: NodeSpec) -> SshHost:
        hosts = self._named()
        if spec.offering is not None:
            if spec.offering.region not in self._hosts:
                raise ProviderRejected(
                    f"The offering is of {spec.offering.region}, which is none of the hosts: "
                    f"{', '.join(self._hosts)}.",
                    hint="Ask for the offerings again, or name the host in CONDUIT_SSH_HOSTS.",
                    provider=self.kind,
                )
            return self._hosts[spec.offering.region]
        answers, errors = await self._ways.ask_all(hosts, "look", owner=spec.owner)
        if not answers:
            first = errors[0]
            if isinstance(first, AmbiguousAnswer):
                raise NoCapacity(first.message, hint=first.hint, provider=self.kind) from first
            raise first
        return min((host for host in hosts if host.host in answers), key=lambda h: len(answers[h.host]))

    def _gpus(self, host: SshHost, answer: Any) -> list[Gpu]:
        return nvidia.parse(answer["text"], host.host)[: host.gpus]

    def _view(self, host: SshHost, node: Any) -> NodeView:
        tags = node["tags"]
        status = NodeStatus.EXITED
        if node["pid"] is not None:
            status = NodeStatus.STARTING if node["port"] is None else NodeStatus.RUNNING
        return NodeView(
            node_id=tags[processes.NODE_TAG],
            owner=tags[processes.OWNER_TAG],
            provider=self.kind,
            status=status,
            deployment_key=tags.get(processes.DEPLOYMENT_TAG),
            project=tags.get(processes.PROJECT_TAG),
            created_at=node["created_at"],
            handle={"host": host.host, "pid": node["pid"]},
            log=f"{host.host}:{node['folder']}/log",
            usd_per_hour=0.0,
        )


def _raise_first(errors: Sequence[ConduitError]) -> None:
    if errors:
        raise errors[0]
