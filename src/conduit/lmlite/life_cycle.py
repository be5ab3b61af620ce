"""The life of an LMLite as its user sees it: its price, up and down, health, who else wants it.

Nothing is decided here: every method hands over to ``deployment`` on the portal's loop. The calls are in
``resource``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio.to_thread
from pydantic import SecretStr

from conduit import settings as settings_module
from conduit.errors import ArgumentInvalid, ConduitError, NoReplica
from conduit.lmlite.calls import substitute
from conduit.lmlite.config import ResourceConfig, resource_config
from conduit.lmlite.configured import Configured
from conduit.lmlite.nodes import wanted
from conduit.lmlite.nodes.health import Health
from conduit.lmlite.portal import portal
from conduit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from conduit.lmlite.front.front import Front
    from conduit.lmlite.nodes.inventory import Removed
    from conduit.lmlite.nodes.quote import Quote

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Endpoint:
    """One replica for other clients.

    Attributes:
        url: OpenAI-compatible base URL, ending in ``/v1``.
        token: Its bearer token (``token.get_secret_value()``).
    """

    url: str
    token: SecretStr


@dataclass(frozen=True, eq=False)
class _Successor:
    """What an LMLite is about to become."""

    config: ResourceConfig
    settings: Settings


class LifeCycle(Configured):
    """A deployment that is wanted, and its end."""

    def quote(self) -> Quote:
        """What the replicas would run on and cost, by the provider's prices of now; starts nothing.

        Raises:
            NothingFits: Nothing on sale holds the models; the hint tells what would help.
            BudgetExceeded: The budget does not pay for ten minutes of all replicas.
            ComputeError: The provider does not say what it has.
        """
        return self._wait(self._quote)

    async def aquote(self) -> Quote:
        """``quote`` for coroutines."""
        return await self._await(self._quote)

    async def _quote(self) -> Quote:
        return await (await self._caller.deployment()).quote()

    def keep(self, *, kept: bool = True) -> None:
        """Has the deployment stay when no program wants it, until a limit, ``delete()`` or `conduit down` ends it.

        Args:
            kept: False takes that back.

        Raises:
            IllegalTransition: It is not up.
        """
        self._wait(self._keep, kept)

    async def akeep(self, *, kept: bool = True) -> None:
        """``keep`` for coroutines."""
        await self._await(self._keep, kept)

    async def _keep(self, kept: bool) -> None:
        await (await self._caller.deployment()).keep(kept=kept)

    def up(self, *, wait: bool = True) -> None:
        """Has all replicas running and ready.

        Args:
            wait: Wait for it. Otherwise it goes on in the background; ``ready`` tells when, and raises what failed.

        Raises:
            DeploymentFailed: A replica did not become ready.
            ModelNotFound: A model does not exist.
            ModelDoesNotFit: This machine's memory does not suffice.
            NothingFits: Nothing that the provider has on sale holds the models.
            BudgetExceeded: It could cost more than it may.
            ComputeError: The provider cannot start a node.
        """
        if wait:
            self._background = None
            self._wait(self._up)
        elif self._background is None or self._background.done():
            self._background = portal().submit(self._up)
            self._background.add_done_callback(self._note)

    async def aup(self) -> None:
        """``up`` for coroutines."""
        self._background = None
        await self._await(self._up)

    async def _up(self) -> None:
        if substitute.current() is None:
            self._caller.ended = None
            wanted.want(self)
            await (await self._caller.deployment()).up(again=True)

    def _note(self, future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.error("%r did not come up: %s", self, error)

    @property
    def ready(self) -> bool:
        """Whether every model of every replica is ready now.

        Raises:
            ConduitError: What a start in the background failed with, so that a loop waiting for it ends.
        """
        if substitute.current() is not None:
            return True
        background = self._background
        if background is not None:
            if not background.done():
                return False
            background.result()
        return self._caller.ended is None and self.health().ready

    def health(self) -> Health:
        """How the deployment and each replica are; starts nothing."""
        return self._wait(self._health)

    async def ahealth(self) -> Health:
        """``health`` for coroutines."""
        return await self._await(self._health)

    async def _health(self) -> Health:
        return await (await self._caller.deployment()).health()

    def update(self, **changes: Any) -> None:
        """Changes the configuration while it serves.

        The replicas of the new configuration come up first, then all calls go there, those of fronts, too, and then
        the ones before end, once what runs on them has ended. One that does not come up changes nothing.

        Args:
            **changes: Arguments of the constructor, in place of those that it was made with.

        Raises:
            ArgumentInvalid: An argument is impossible, or is none.
            ConduitError: What ``up`` raises.
        """
        self._wait(self._update, changes)

    async def aupdate(self, **changes: Any) -> None:
        """``update`` for coroutines."""
        await self._await(self._update, changes)

    async def _update(self, changes: Mapping[str, Any]) -> None:
        if unknown := sorted(changes.keys() - self._arguments.keys()):
            raise ArgumentInvalid(
                f"{', '.join(unknown)}: {type(self).__name__} has no such argument.",
                hint=f"It has: {', '.join(self._arguments)}.",
                argument=unknown[0],
            )
        arguments = self._arguments | dict(changes)
        config = resource_config(**arguments, engine=self.default_engine)
        successor = _Successor(replace(config, name=None), self._settings)
        wanted.want(successor)  # or a garbage collection would take it for nobody's while it comes up
        if substitute.current() is None:
            await self._caller.move(config)
        self._arguments, self._config = arguments, config
        wanted.want(self)
        wanted.forgo(successor)

    def stop(self) -> None:
        """Ends all replicas, for every process that uses them; records and logs stay until ``delete()``."""
        self._wait(self._end, "stopped")

    async def astop(self) -> None:
        """``stop`` for coroutines."""
        await self._await(self._end, "stopped")

    def delete(self) -> None:
        """Ends all replicas, for every process that uses them, and removes all that is kept of them."""
        self._wait(self._end, "deleted")

    async def adelete(self) -> None:
        """``delete`` for coroutines."""
        await self._await(self._end, "deleted")

    async def _end(self, how: str) -> None:
        if substitute.current() is not None:
            return
        if self._background is not None:
            self._background.cancel()
            self._background = None
        self._caller.ended = how
        wanted.forgo(self)
        deployment = await self._caller.deployment()
        await (deployment.stop() if how == "stopped" else deployment.delete())

    def restart(self) -> None:
        """Ends all replicas and starts new ones."""
        self._wait(self._restart)

    async def arestart(self) -> None:
        """``restart`` for coroutines."""
        await self._await(self._restart)

    async def _restart(self) -> None:
        await self._end("stopped")
        await self._up()

    def __enter__(self) -> Self:
        """Brings the deployment up."""
        try:
            self.up()
        except BaseException:
            self._leave_quietly()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Deletes the deployment, unless another live LMLite, here or in another process, wants it."""
        self._wait(self._leave)

    async def __aenter__(self) -> Self:
        """Brings the deployment up."""
        await self.aup()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Deletes the deployment, unless another live LMLite, here or in another process, wants it."""
        await self._await(self._leave)

    async def _leave(self) -> None:
        if substitute.current() is not None:
            return
        deployment = await self._caller.deployment()
        wanted.forgo(self)
        here = await anyio.to_thread.run_sync(wanted.keys, self._settings, deployment.owner)
        self._caller.ended = "released"
        if deployment.key in here:
            return
        if self._background is not None:
            self._background.cancel()
            self._background = None
        if await deployment.release():
            self._caller.ended = "deleted"

    def _leave_quietly(self) -> None:
        try:
            self._wait(self._leave)
        except ConduitError as error:
            _log.warning("%r could not be taken down: %s", self, error.message)

    @staticmethod
    def gc() -> list[Removed]:
        """Removes this project's deployments that no live LMLite of any process wants.

        Call it after all LMLite objects are made: what an earlier configuration left running is then given back.
        """
        from conduit.lmlite.nodes.inventory import collect

        return [] if substitute.current() is not None else collect(settings_module.load())

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Address and token of each replica, for any OpenAI client; brings the deployment up if need be."""
        return self._wait(self._endpoints)

    async def _endpoints(self) -> tuple[Endpoint, ...]:
        if substitute.current() is not None:
            raise NoReplica(
                "There are no endpoints while a substitute answers.",
                hint="Leave conduit.override(...) first.",
            )
        pool = await self._caller.ready_pool()
        return tuple(Endpoint(f"{replica.url}/v1", replica.token) for replica in pool.replicas)

    def serve(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        token: str | SecretStr | None = None,
        tls_certificate: str | Path | None = None,
        tls_key: str | Path | None = None,
    ) -> Front:
        """Opens one OpenAI-compatible address over all replicas, until it is closed or the process ends.

        Replicas that are not up come up with the first request, which waits for them.

        Args:
            port: 0 for a free one; ``Front.url`` tells which.
            host: ``"0.0.0.0"`` for all of this machine's addresses; then give a certificate, too.
            token: What callers are to show; made up if ``None``.
            tls_certificate: PEM file; with ``tls_key`` it speaks HTTPS only.
            tls_key: PEM file.

        Raises:
            ArgumentInvalid: The port is taken, or an argument is impossible.
        """
        return self._wait(self._serve, port, host, token, tls_certificate, tls_key)

    async def aserve(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        token: str | SecretStr | None = None,
        tls_certificate: str | Path | None = None,
        tls_key: str | Path | None = None,
    ) -> Front:
        """``serve`` for coroutines."""
        return await self._await(self._serve, port, host, token, tls_certificate, tls_key)

    async def _serve(
        self,
        port: int,
        host: str,
        token: str | SecretStr | None,
        tls_certificate: str | Path | None,
        tls_key: str | Path | None,
    ) -> Front:
        from conduit.lmlite.front.front import serve

        return await serve(
            self._caller,
            self._config,
            timeout_s=self._settings.request_timeout_s,
            host=host,
            port=port,
            token=token,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
        )
