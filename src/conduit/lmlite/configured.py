"""What an LMLite is made of: its arguments, checked, and the way to the loop on which its work runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from conduit import settings as settings_module
from conduit.compute import GPUS, ComputeProvider, Constraint
from conduit.errors import ArgumentInvalid
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
from conduit.lmlite.nodes.model_files import LoadedModel, loaded_model
from conduit.lmlite.portal import portal
from conduit.settings import Settings

if TYPE_CHECKING:
    from conduit.lmlite.calls.calling import Caller

T = TypeVar("T")

_making = threading.Lock()


class Configured:
    """Models, and how their replicas are to run.

    Attributes:
        default_engine: Runs the models that name none; ``None`` for what the provider's machines have.
    """

    default_engine: ClassVar[EngineName | None] = None

    def __init__(
        self,
        models: str | ModelConfig | Sequence[str | ModelConfig],
        compute_provider: ComputeProvider | str = ComputeProvider.LOCAL,
        gpu: GPUS | None = None,
        num_gpus: int | None = None,
        replicas: int = 1,
        constraints: Sequence[Constraint] = (),
        budget_usd: float | None = None,
        max_lifetime: float | timedelta | None = None,
        idle_timeout: float | timedelta | None = LOCAL_IDLE_TIMEOUT_S,
        name: str | None = None,
        routing: Routing | Policy = "round_robin",
        regions: Sequence[str] = (),
        max_usd_per_hour: float | None = None,
        serverless: bool = False,
    ) -> None:
        """Checks the configuration; opens and starts nothing.

        Args:
            models: One model or several: ids or ``ModelConfig``.
            compute_provider: Where the replicas run; the name of its entry point for one that is not Conduit's.
            gpu: Which GPU; local replicas run on the CPU whatever it says.
            num_gpus: How many for one replica.
            replicas: Servers that each run all models.
            constraints: What a placement must satisfy.
            budget_usd: Most that the deployment may cost.
            max_lifetime: Seconds (or timedelta) after which a replica ends by itself.
            idle_timeout: Seconds (or timedelta) without a request after which it does; ``None`` for never.
            name: Its role in the program: a new LMLite of the same name replaces the old one for ``gc()``.
            routing: How requests are shared out among the replicas; the name of a policy, or a ``Routing``.
            regions: The provider's names of the places where replicas may stand; empty for anywhere.
            max_usd_per_hour: Most that all replicas together may cost by the hour.
            serverless: One endpoint that scales from zero to ``replicas`` workers, in place of machines that run.

        Raises:
            ArgumentInvalid: An argument is impossible.
        """
        self._arguments: dict[str, Any] = {
            "models": models,
            "compute_provider": compute_provider,
            "gpu": gpu,
            "num_gpus": num_gpus,
            "replicas": replicas,
            "constraints": constraints,
            "budget_usd": budget_usd,
            "max_lifetime": max_lifetime,
            "idle_timeout": idle_timeout,
            "name": name,
            "routing": routing,
            "regions": regions,
            "max_usd_per_hour": max_usd_per_hour,
            "serverless": serverless,
        }
        self._config = resource_config(**self._arguments, engine=self.default_engine)
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
        return f"{type(self).__name__}([{models}], {self._config.provider}, replicas={self._config.replicas})"

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

    def loaded(self, model_id: str | None = None) -> LoadedModel:
        """What a call that names ``model_id``, or names none, is answered by."""
        return loaded_model(
            self._config.model(self.model_id_of(model_id)), self.default_engine, self._settings
        )

    @property
    def parallelism(self) -> int:
        """Requests that all replicas run at a time, of the first model where there are several."""
        return self.parallelism_of(self.model_ids[0])

    def parallelism_of(self, model_id: str | None = None) -> int:
        """Requests of that model that all replicas run at a time."""
        return self._config.replicas * self._config.model(model_id).max_model_concurrency

    def _wait(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> T:
        return portal().call(function, *arguments)

    def _await(
        self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any
    ) -> Coroutine[Any, Any, T]:
        if substitute.current() is not None:
            return function(*arguments)  # a substitute may use what belongs to the caller's loop
        return portal().acall(function, *arguments)
