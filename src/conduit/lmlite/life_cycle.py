"""The life of an LMLite as its user sees it: what it is made of, up and down, health, who else wants it.

Nothing is decided here: every method hands over to ``deployment`` on the portal's loop. The calls are in
``resource``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio.to_thread
from pydantic import SecretStr

from conduit import settings as settings_module
from conduit.compute import GPUS, ComputeProvider, Constraint
from conduit.errors import ConduitError, NoReplica
from conduit.lmlite.calls import substitute
from conduit.lmlite.config import LOCAL_IDLE_TIMEOUT_S, ModelConfig, ResourceConfig, resource_config
from conduit.lmlite.nodes import wanted
from conduit.lmlite.nodes.health import Health
from conduit.lmlite.portal import portal
from conduit.settings import Settings

if TYPE_CHECKING:
    from conduit.lmlite.calls.calling import Caller
    from conduit.lmlite.nodes.inventory import Removed

T = TypeVar("T")

_making = threading.Lock()
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


class LifeCycle:
    """A deployment that is wanted, and its end."""

    def __init__(
        self,
        models: str | ModelConfig | Sequence[str | ModelConfig],
        compute_provider: ComputeProvider = ComputeProvider.LOCAL,
        gpu: GPUS | None = None,
        num_gpus: int | None = None,
        replicas: int = 1,
        constraints: Sequence[Constraint] = (),
        budget_usd: float | None = None,
        max_lifetime: float | timedelta | None = None,
        idle_timeout: float | timedelta | None = LOCAL_IDLE_TIMEOUT_S,
        name: str | None = None,
    ) -> None:
        """Checks the configuration; opens and starts nothing.

        Args:
            models: One model or several: ids or ``ModelConfig``.
            compute_provider: Where the replicas run.
            gpu: Which GPU; local replicas run on the CPU whatever it says.
            num_gpus: How many for one replica.
            replicas: Servers that each run all models; requests go round.
            constraints: What a placement must satisfy.
            budget_usd: Most that the deployment may cost.
            max_lifetime: Seconds (or timedelta) after which a replica ends by itself.
            idle_timeout: Seconds (or timedelta) without a request after which it does; ``None`` for never.
            name: Its role in the program: a new LMLite of the same name replaces the old one for ``gc()``.

        Raises:
            ArgumentInvalid: An argument is impossible.
        """
        self._config = resource_config(
            models,
            compute_provider,
            gpu=gpu,
            num_gpus=num_gpus,
            replicas=replicas,
            constraints=constraints,
            budget_usd=budget_usd,
            max_lifetime=max_lifetime,
            idle_timeout=idle_timeout,
            name=name,
        )
        self._begin()

    def _begin(self) -> None:
        self._settings = settings_module.load()
        self._made_caller: Caller | None = None
        self._background: Future[None] | None = None
        wanted.want(self)

    @property
    def _caller(self) -> Caller:
        # Made at first use: HTTP client and database library are most of this package's import time.
        from conduit.lmlite.calls.calling import Caller

        with _making:
            if self._made_caller is None:
                self._made_caller = Caller(self._config, self._settings)
            return self._made_caller

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: the configuration, not the connections."""
        own = {"_settings", "_made_caller", "_background"}
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def __repr__(self) -> str:
        """Models, provider and replicas."""
        models = ", ".join(self.model_ids)
        return f"{type(self).__name__}([{models}], {self._config.provider.name}, replicas={self._config.replicas})"

    @property
    def config(self) -> ResourceConfig:
        """The whole configuration."""
        return self._config

    @property
    def settings(self) -> Settings:
        """The settings it was made under."""
        return self._settings

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The models that a call may name."""
        return self._config.model_ids

    def model_id_of(self, model_id: str | None = None) -> str:
        """The id to use for a call that names ``model_id``, or names none.

        Raises:
            ArgumentInvalid: None named, and there are several models.
            ModelNotFound: No such model here.
        """
        return self._config.model(model_id).model_id

    @property
    def parallelism(self) -> int:
        """Requests that all replicas run at a time, of the first model where there are several."""
        return self.parallelism_of(self.model_ids[0])

    def parallelism_of(self, model_id: str | None = None) -> int:
        """Requests of that model that all replicas run at a time."""
        return self._config.replicas * self._config.model(model_id).max_model_concurrency

    def up(self, *, wait: bool = True) -> None:
        """Has all replicas running and ready.

        Args:
            wait: Wait for it. Otherwise it goes on in the background; ``ready`` tells when, and raises what failed.

        Raises:
            DeploymentFailed: A replica did not become ready.
            ModelNotFound: A model does not exist.
            ModelDoesNotFit: The memory does not suffice.
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
        if deployment.key in here:
            self._caller.ended = "released"
        elif await deployment.wanted_elsewhere():
            self._caller.ended = "released"
            await deployment.withdraw()
        else:
            await self._end("deleted")

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

    def _wait(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return portal().call(function, *arguments)

    async def _await(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        if substitute.current() is not None:
            return await function(*arguments)  # a substitute may use what belongs to the caller's loop
        return await portal().acall(function, *arguments)
