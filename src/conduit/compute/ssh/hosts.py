"""Asking hosts: what the agent is to do on one of them or on all, and what its answers mean."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anyio

from conduit.compute.ssh import lines
from conduit.errors import (
    AmbiguousAnswer,
    ConduitError,
    MissingDependency,
    NoCapacity,
    NodeFailed,
    ProviderBusy,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from conduit.settings import SshHost

_PROGRAM = files("conduit.compute.ssh").joinpath("agent.py").read_text("utf-8")


class Hosts:
    """The way to all hosts for one owner."""

    def __init__(self, owner: str, known_hosts: Path | None, *, connect_s: float, answer_s: float) -> None:
        self._owner = owner
        self._known_hosts = known_hosts
        self._connect_s = connect_s
        self._answer_s = answer_s

    async def _line(self, host: SshHost) -> lines.Line:
        return await lines.home().do(lines.line, id(self), host, self._known_hosts, self._connect_s)

    async def reach(self, host: SshHost) -> None:
        """Connects, where there is no connection; raises as ``Line.reach`` does."""
        line = await self._line(host)
        await lines.home().do(line.reach)

    async def tunnel(self, host: SshHost, node_id: str, port: int) -> int:
        """A port of this machine's loopback that leads to the port of the host's."""
        line = await self._line(host)
        return await lines.home().do(line.tunnel, node_id, port)

    async def close_tunnel(self, host: SshHost, node_id: str) -> None:
        """Closes the node's port, if it has one."""
        line = await self._line(host)
        await lines.home().do(line.close_tunnel, node_id)

    async def aclose(self) -> None:
        """Closes the connections and ports that no other user has."""
        await lines.home().do(lines.home().release, id(self))

    async def ask_all(
        self, hosts: Iterable[SshHost], action: str, **request: Any
    ) -> tuple[dict[str, Any], list[ConduitError]]:
        """What each host answers, and the errors of those that did not."""
        asked = list(hosts)
        answers: dict[str, Any] = {}
        errors: list[ConduitError] = []

        async def ask(host: SshHost) -> None:
            try:
                answers[host.host] = await self.ask(host, action, **request)
            except ConduitError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for host in asked:
                group.start_soon(ask, host)
        return {host.host: answers[host.host] for host in asked if host.host in answers}, errors

    async def ask(self, host: SshHost, action: str, *, more_s: float = 0.0, **request: Any) -> Any:
        """Has the agent do one thing on a host, and returns its answer.

        Raises:
            ConduitError: What its refusal means, or what is wrong with the connection.
            AmbiguousAnswer: Nobody knows whether it did it.
        """
        asked = {"action": action, "owner": self._owner, **request}
        line = await self._line(host)
        # A secret in it goes through the connection into the program's memory, and into no argument list.
        program = f"{_PROGRAM}\nmain(json.loads({json.dumps(asked)!r}))\n"
        printed = await lines.home().do(line.run, program, self._answer_s + more_s)
        try:
            # Start-up files of the host's shell may print lines of their own before it.
            answer = json.loads(printed.splitlines()[-1])
            refused = answer.get("refused")
            done = answer["done"] if refused is None else None
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            raise AmbiguousAnswer(
                f"{host.host} answered something that cannot be read: {printed[-200:]!r}.",
                hint=f"See what `ssh {host.host} {host.python} --version` prints.",
                provider="ssh",
            ) from error
        if refused is not None:
            raise meaning(host, str(refused), str(answer.get("text")), request.get("node_id"))
        return done


def meaning(host: SshHost, kind: str, text: str, node_id: str | None) -> ConduitError:
    """The error that a refusal of the agent is."""
    where = f"Node {node_id} on {host.host}"
    if kind == "exists":
        return NodeFailed(
            f"{where} was created before: {text}.", hint="Make a new node id for each node.", node_id=node_id
        )
    if kind == "lives":
        return NodeFailed(
            f"{where} still lives, so its folder stays: {text}.", hint="Destroy it first.", node_id=node_id
        )
    if kind == "program":
        return MissingDependency(
            f"There is no {text} on {host.host}.",
            hint=f"Install it there, `pip install conduit-gpu-server` with the engine, or name it in "
            f'CONDUIT_SSH_HOSTS: {{"host": "{host.host}", "server": ["/path/to/conduit-gpu-server"]}}.',
            package="conduit-gpu-server",
        )
    if kind == "full":
        return NoCapacity(
            f"{host.host} has no GPU left: {text}.", hint="`conduit status` shows the nodes.", provider="ssh"
        )
    if kind == "busy":
        return ProviderBusy(f"{host.host}: {text}.", hint="Try again.", provider="ssh", retry_after_s=5.0)
    if kind == "nvidia":
        return ProviderUnavailable(
            f"nvidia-smi on {host.host} does not work: {' '.join(text.split())[:300]}.",
            hint="Run it there by hand: it says what is wrong with the driver.",
        )
    return NodeFailed(
        f"{host.host} could not do what was asked: {text}.",
        hint="See whether its disk is full and its system is Linux.",
        node_id=node_id,
    )
