"""The calls of one LMLite: from a request to a reply, through a substitute, or the deployment that it brings up.

Runs on the portal's loop; ``resource`` is the face that threads and other loops see.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Protocol, TypeVar
from weakref import WeakSet

import anyio
import anyio.lowlevel

from conduit import mdl
from conduit.errors import AnswerError, DeploymentStopped, NoReplica, ReplicaLost, RequestTimeout
from conduit.lmlite.calls import substitute
from conduit.lmlite.calls.channels import ThinkingFilter, check_not_refused, spoken
from conduit.lmlite.calls.metering import Meter
from conduit.lmlite.calls.reply import Reply
from conduit.lmlite.calls.typed import ask
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.nodes.deployment import Deployment
from conduit.lmlite.nodes.model_files import LoadedModel, loaded_model
from conduit.lmlite.portal import Portal, portal
from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.connections import Transport
from conduit.lmlite.replicas.dispatch import Emit, dispatch
from conduit.lmlite.replicas.pool import Pool
from conduit.lmlite.request import LMReply, LMRequest
from conduit.provisioning import Site, open_site
from conduit.settings import Settings

T = TypeVar("T")

EmitOfAttempt = Callable[[int, str], Awaitable[None]]
"""Takes the number of an attempt, from 1, and a piece of its answer."""

_PIECE_CHARS = 4

_clients: dict[int, tuple[Portal, Client]] = {}  # one, of this process's portal


class Follower(Protocol):
    """What serves an LMLite's configuration to others."""

    def configure(self, config: ResourceConfig) -> None:
        """From now on the replicas serve this."""
        ...


class Caller:
    """Sends one LMLite's requests, and holds its deployment.

    Attributes:
        ended: ``stopped``, ``deleted`` or ``released``, by this LMLite.
        followers: Are told when the calls have moved to a deployment of another configuration.
    """

    def __init__(self, config: ResourceConfig, settings: Settings) -> None:
        self._config, self._settings = config, settings
        self._opened: tuple[Portal, Site, Deployment] | None = None
        self._loaded: dict[str, LoadedModel] = {}
        self.ended: str | None = None
        self.followers: WeakSet[Follower] = WeakSet()

    async def deployment(self) -> Deployment:
        """The deployment, up or not; opens the records at first use."""
        home = portal()
        # A forked child has a loop of its own, and nothing of the parent's is of use there.
        if self._opened is None or self._opened[0] is not home:
            site = await open_site(self._settings, self._config.provider)
            if self._opened is None or self._opened[0] is not home:  # another call may have been quicker
                self._opened = home, site, Deployment(site, _client(home), self._config)
        return self._opened[2]

    async def move(self, config: ResourceConfig) -> None:
        """Brings up the deployment of another configuration, sends all calls there, and ends the one before.

        What runs there may end, for as long as a request may take. Another process that wants it keeps it.

        Raises:
            ConduitError: The new one did not come up; all stays as it was.
        """
        await self.deployment()
        assert self._opened is not None
        home, left, before = self._opened
        site = await open_site(self._settings, config.provider)
        after = Deployment(site, _client(home), config)
        await after.up(again=True)
        self._config, self._opened, self.ended = config, (home, site, after), None
        self._loaded = {}
        for follower in tuple(self.followers):
            follower.configure(config)
        await before.leave(drain_s=self._settings.request_timeout_s, stays=before.key == after.key)
        await left.provider.aclose()

    async def text(self, request: LMRequest, timeout_s: float | None, emit: Emit | None = None) -> Reply[str]:
        """The answer's text; its pieces also go to ``emit`` as they come."""
        with Meter(request, self._log) as meter:
            await self.ready()
            limit_s = timeout_s or self._settings.request_timeout_s
            passed = None if emit is None else ThinkingFilter(emit)
            reply = await self._send(request, limit_s, meter, None if passed is None else passed.feed)
            try:
                check_not_refused(request, reply)
                answer = spoken(request, reply)
            except AnswerError as error:
                meter.refused(error)
                raise
            if emit is not None and passed is not None:
                if answer.text.strip() and not reply.text.strip():
                    await emit(answer.text)  # it came in the reasoning channel
                else:
                    await passed.end()
            return Reply(answer.text, answer.reasoning, (), meter.attempts, answer.finish_reason)

    async def value(
        self,
        prompt: mdl.Prompt[T],
        request: LMRequest,
        timeout_s: float | None,
        emit: EmitOfAttempt | None = None,
    ) -> Reply[T]:
        """The answer as a value of the prompt's type; the pieces of each attempt also go to ``emit``."""
        with Meter(request, self._log) as meter:
            await self.ready()  # before the clock starts: a cold start has its own deadline
            limit_s = timeout_s or self._settings.request_timeout_s
            deadline = time.monotonic() + limit_s
            numbers, losses = count(1), 0

            async def send(asked: LMRequest) -> LMReply:
                nonlocal losses
                while True:
                    # Each attempt gets what the ones before have left.
                    remaining_s = deadline - time.monotonic()
                    if remaining_s <= 0:
                        raise _too_late(request, limit_s)
                    pieces = None if emit is None else _Pieces(emit, next(numbers))
                    try:
                        return await self._send(asked, remaining_s, meter, pieces)
                    except ReplicaLost:
                        losses += 1
                        if (
                            pieces is None
                            or not pieces.begun
                            or not await self._others_live(request.model_id, losses)
                        ):
                            raise

            return await ask(prompt, request, send, meter)

    async def _others_live(self, model_id: str, losses: int) -> bool:
        """Whether a partial answer that was lost may be begun again: it was no promise, unlike a text's pieces."""
        pool = (await self.deployment()).pool
        return pool is not None and losses <= pool.wanted and pool.takes(model_id)

    async def ready(self) -> None:
        """Brings the deployment up if need be; a substitute needs none."""
        if substitute.current() is None:
            await self.ready_pool()

    async def _send(self, request: LMRequest, timeout_s: float, meter: Meter, emit: Emit | None) -> LMReply:
        begun = time.perf_counter()
        try:
            reply = await substitute.past_listeners(
                request, partial(self._send_on, request, timeout_s, meter)
            )(emit)
        except BaseException as error:
            meter.failed(error, time.perf_counter() - begun)
            raise
        meter.answered(reply, time.perf_counter() - begun)
        return reply

    async def _send_on(
        self, request: LMRequest, timeout_s: float, meter: Meter, emit: Emit | None
    ) -> LMReply:
        """To the substitute in force, or to a replica."""
        fake = substitute.current()
        if fake is not None:
            return await _send_to_substitute(fake, request, timeout_s, emit)
        pool, again = await self.ready_pool(), False
        while True:
            try:
                return await dispatch(
                    pool, _client(portal()), request, timeout_s=timeout_s, emit=emit, sent=meter.sent
                )
            except NoReplica as error:
                if again or error.retry_after_s is not None:
                    raise
            # All have gone, most likely by their idle limit, and none has worked on the request: start again.
            pool, again = await self.pool_after(pool), True

    async def ready_pool(self) -> Pool:
        """The ready replicas, brought up if need be.

        Raises:
            DeploymentStopped: This LMLite was stopped or deleted.
        """
        self._check_not_ended()
        deployment = await self.deployment()
        return deployment.pool or await deployment.up()

    async def pool_after(self, seen: Pool) -> Pool:
        """The ready replicas, brought up again where the pool that was seen proved dead.

        Raises:
            DeploymentStopped: This LMLite was stopped or deleted.
        """
        self._check_not_ended()
        return await (await self.deployment()).up(seen=seen)

    def pool_now(self) -> Pool | None:
        """The replicas if they are up; starts nothing."""
        return None if self._opened is None or self.ended is not None else self._opened[2].pool

    def transport(self) -> Transport:
        """The connections to replicas, shared with all that this process sends."""
        return _client(portal()).transport

    def _check_not_ended(self) -> None:
        if self.ended is not None:
            raise DeploymentStopped(
                f"This LMLite ({', '.join(self._config.model_ids)}) was {self.ended}.",
                hint="lm.up() starts it again.",
            )

    def _log(self, meter: Meter, error_code: str | None) -> None:
        # Without a deployment nothing was asked of a model: a substitute answered, or it never came up.
        if self._opened is None or not self._settings.run_log or substitute.current() is not None:
            return
        _, site, deployment = self._opened
        row = meter.row(
            error=error_code, deployment_key=deployment.key, loaded=self._loaded_model(meter.request.model_id)
        )
        site.store.log_call(row)

    def _loaded_model(self, model_id: str) -> LoadedModel | None:
        """None where another configuration, without that model, has come in place of the call's."""
        if model_id not in self._loaded:  # its files are looked at once
            model = next((model for model in self._config.models if model.model_id == model_id), None)
            if model is None:
                return None
            self._loaded[model_id] = loaded_model(model, None, self._settings)
        return self._loaded[model_id]


class _Pieces:
    """Hands the pieces of one attempt on under its number.

    Attributes:
        begun: There was one.
    """

    def __init__(self, emit: EmitOfAttempt, attempt: int) -> None:
        self._emit, self._attempt = emit, attempt
        self.begun = False

    async def __call__(self, piece: str) -> None:
        self.begun = True
        await self._emit(self._attempt, piece)


def _too_late(request: LMRequest, limit_s: float) -> RequestTimeout:
    return RequestTimeout(
        f"No valid answer for {request.model_id} within {limit_s:g} s.",
        hint="Give timeout_s=..., or set CONDUIT_REQUEST_TIMEOUT_S.",
        model_id=request.model_id,
        timeout_s=limit_s,
    )


def _client(home: Portal) -> Client:
    found = _clients.get(0)
    if found is None or found[0] is not home:
        client = Client()
        home.at_close(client.aclose)
        _clients[0] = found = home, client
    return found[1]


async def _send_to_substitute(
    fake: substitute.Substitute, request: LMRequest, timeout_s: float, emit: Emit | None
) -> LMReply:
    try:
        with anyio.fail_after(timeout_s):
            if emit is not None and isinstance(fake, substitute.StreamingSubstitute):
                return await fake.stream(request, emit)
            reply = await fake.respond(request)
    except TimeoutError as error:
        raise RequestTimeout(
            f"No answer for {request.model_id} within {timeout_s:g} s.",
            model_id=request.model_id,
            timeout_s=timeout_s,
        ) from error
    if emit is not None:
        for piece in _pieces(request, reply.text):
            await emit(piece)
            # So that a reader that leaves ends it here, as in a real stream.
            await anyio.lowlevel.checkpoint()
    return reply


def _pieces(request: LMRequest, text: str) -> list[str]:
    # Words of a text; of JSON, which may be one long word, a few characters at a time, as tokens are.
    if request.output is None:
        return re.findall(r"\S+\s*|\s+", text)
    return [text[start : start + _PIECE_CHARS] for start in range(0, len(text), _PIECE_CHARS)]
