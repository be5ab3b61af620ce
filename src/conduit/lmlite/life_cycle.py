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
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import anyio.to_thread
from pydantic import SecretStr

from conduit import settings as settings_module
from conduit.compute import GPUS, ComputeProvider, Constraint
from conduit.errors import ArgumentInvalid, ConduitError, NoReplica
from conduit.lmlite.calls import substitute
from conduit.lmlite.config import (
    LOCAL_IDLE_TIMEOUT_S,
    ModelConfig,
    Policy,
    ResourceConfig,
    Routing,
    resource_config,
)
from conduit.lmlite.model_config import EngineName
from conduit.lmlite.nodes import wanted
from conduit.lmlite.nodes.health import Health
from conduit.lmlite.portal import portal
from conduit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from conduit.lmlite.calls.calling import Caller
    from conduit.lmlite.front.front import Front
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
    """A deployment that is wanted, and its end.

    Attributes:
        default_engine: Runs the models that name none; ``None`` for what the provider's machines have.
    """

    default_engine: ClassVar[EngineName | None] = None

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
        routing: Routing | Policy = "round_robin",
    ) -> None:
        """Checks the configuration; opens and starts nothing.

        Args:
            models: One model or several: ids or ``ModelConfig``.
            compute_provider: Where the replicas run.
            gpu: Which GPU; local replicas run on the CPU whatever it says.
            num_gpus: How many for one replica.
            replicas: Servers that each run all models.
            constraints: What a placement must satisfy.
            budget_usd: Most that the deployment may cost.
            max_lifetime: Seconds (or timedelta) after which a replica ends by itself.
            idle_timeout: Seconds (or timedelta) without a request after which it does; ``None`` for never.
            name: Its role in the program: a new LMLite of the same name replaces the old one for ``gc()``.
            routing: How requests are shared out among the replicas; the name of a policy, or a ``Routing``.

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
            routing=routing,
            engine=self.default_engine,
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
            ArgumentInvalid: None named, and there are several models; or it is one for embeddings.
            ModelNotFound: No such model here.
        """
        model = self._config.model(model_id)
        if model.task == "embed":
            raise ArgumentInvalid(
                f"{model.model_id} was declared for embeddings, and a call asks for text or a value.",
                hint="Ask for vectors at POST /v1/embeddings of one of lm.endpoints.",
                argument="model_id",
            )
        return model.model_id

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

    def _wait(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return portal().call(function, *arguments)

    async def _await(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        if substitute.current() is not None:
            return await function(*arguments)  # a substitute may use what belongs to the caller's loop
        return await portal().acall(function, *arguments)
