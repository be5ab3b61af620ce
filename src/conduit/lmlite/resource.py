"""The LMLite resource as its user sees it: calls, life cycle, health; each in a synchronous and an ``async`` form.

Nothing is decided here: every method hands over to ``calling`` or ``deployment`` on the portal's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

import anyio.to_thread
from pydantic import SecretStr

from conduit import mdl
from conduit import settings as settings_module
from conduit.compute import GPUS, ComputeProvider, Constraint
from conduit.errors import ConduitError, NoReplica
from conduit.lmlite import substitute, wanted
from conduit.lmlite.arguments import SamplingOptions, call_prompt, chat_request, sampling, value_request
from conduit.lmlite.batch import Errors, run_batch
from conduit.lmlite.config import LOCAL_IDLE_TIMEOUT_S, ModelConfig, ResourceConfig, resource_config
from conduit.lmlite.health import Health
from conduit.lmlite.portal import portal
from conduit.lmlite.request import LMRequest, Message
from conduit.settings import Settings

if TYPE_CHECKING:
    from conduit.lmlite.calling import Caller
    from conduit.lmlite.inventory import Removed

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


class LMLiteResource:
    """Open language models behind one object.

    It starts at ``up()``, at ``with``, or at its first call; a deployment of the same configuration that runs
    already, in whichever process it was started, is used. Safe in threads.
    """

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
        from conduit.lmlite.calling import Caller

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

    # Calls

    @overload
    def __call__(
        self,
        *,
        output: type[T],
        model_id: str | None = None,
        messages: None = None,
        system_message: None = None,
        input: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T: ...
    @overload
    def __call__(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str: ...
    def __call__(self, **arguments: Any) -> Any:
        """Calls a model and waits: text for ``messages``, a value for ``output``.

        Args:
            **arguments: As of ``acall``.
        """
        return self._wait(self._call, arguments)

    @overload
    async def acall(
        self,
        *,
        output: type[T],
        model_id: str | None = None,
        messages: None = None,
        system_message: None = None,
        input: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T: ...
    @overload
    async def acall(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> str: ...
    async def acall(self, **arguments: Any) -> Any:
        """Calls a model: text for ``messages``, a value for ``output``.

        Args:
            **arguments: ``model_id`` (may be left out when there is one model); either ``messages`` and
                ``system_message``, or ``input`` (a typed value), ``output`` (a type) and ``guidance`` (what to
                do); ``timeout_s`` for the answer once the deployment is up; ``temperature`` (0), ``max_tokens``,
                ``stop``, ``seed``, ``top_p``.

        Raises:
            ArgumentInvalid: The arguments make no call.
            OutputInvalid: The answers did not fit ``output``, the retries' neither.
            OutputTruncated: The token limit cut the typed answer.
            ModelError: The model could not be asked, or refused.
        """
        return await self._await(self._call, arguments)

    async def _call(self, arguments: Mapping[str, Any]) -> Any:
        return await self._called(**arguments)

    async def _called(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        input: Any = None,
        output: Any = None,
        guidance: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Any:
        model, drawn = self.model_id_of(model_id), sampling(**options)
        if output is None and input is None and guidance is None:
            return await self._caller.text(chat_request(model, messages, system_message, drawn), timeout_s)
        others = {"messages": messages, "system_message": system_message}
        prompt = call_prompt(output, input, guidance, others=others)
        return await self._caller.value(prompt, value_request(model, prompt, input, drawn), timeout_s)

    async def answer(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T:
        """Answers a compiled prompt with a value of its type; how blocks call a model.

        Args:
            prompt: Made by ``mdl.prompt``; build it once.
            values: The mapping of arguments, or the input value.
            model_id: Which model.
            block: The block's name, for errors and the run log.
            timeout_s: Deadline, retries included, once the deployment is up.
            **options: Sampling.
        """
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        return await self._await(self._caller.value, prompt, request, timeout_s)

    def answer_sync(
        self,
        prompt: mdl.Prompt[T],
        values: Any,
        *,
        model_id: str | None = None,
        block: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> T:
        """``answer`` for threads."""
        request = value_request(self.model_id_of(model_id), prompt, values, sampling(**options), block)
        value: T = self._wait(self._caller.value, prompt, request, timeout_s)
        return value

    def stream(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """The answer to ``messages`` in pieces as they come. Closing the iterator cancels the request."""
        request = chat_request(self.model_id_of(model_id), messages, system_message, sampling(**options))
        return self._pieces(request, timeout_s)

    def _pieces(self, request: LMRequest, timeout_s: float | None) -> Iterator[str]:
        portal().refuse_own_thread()
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        future = portal().submit(self._caller.text, request, timeout_s, pieces.put)
        future.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            future.cancel()

    def astream(
        self,
        *,
        model_id: str | None = None,
        messages: Sequence[Message] | None = None,
        system_message: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncIterator[str]:
        """``stream`` for coroutines."""
        request = chat_request(self.model_id_of(model_id), messages, system_message, sampling(**options))
        return self._apieces(request, timeout_s)

    async def _apieces(self, request: LMRequest, timeout_s: float | None) -> AsyncIterator[str]:
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def put(piece: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop has been closed meanwhile
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        future = portal().submit(self._caller.text, request, timeout_s, put)
        future.add_done_callback(lambda _: put(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            future.cancel()

    def batch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """Makes many calls, as many at a time as the replicas take; results in order.

        Args:
            calls: The keyword arguments of each call.
            errors: ``"collect"`` puts each error in its call's place instead of raising the first.
        """
        return self._wait(self._batch, calls, errors)

    async def abatch(self, calls: Sequence[Mapping[str, Any]], *, errors: Errors = "raise") -> list[Any]:
        """``batch`` for coroutines."""
        return await self._await(self._batch, calls, errors)

    async def _batch(self, calls: Sequence[Mapping[str, Any]], errors: Errors) -> list[Any]:
        # Twice what runs at a time, so that a replica that finishes a request has the next one in its queue.
        most = max(self.parallelism_of(model_id) for model_id in self.model_ids)
        return await run_batch(calls, self._call, limit=2 * most, errors=errors)

    # Life cycle

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
        from conduit.lmlite.inventory import collect

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
