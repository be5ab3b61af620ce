"""The calls of one LMLite: from a request to a reply, through a substitute, or the deployment that it brings up.

Runs on the portal's loop; ``resource`` is the face that threads and other loops see.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from conduit import mdl
from conduit.compute import ComputeProvider
from conduit.errors import ConduitError, DeploymentStopped, NoReplica, RequestTimeout
from conduit.lmlite import substitute
from conduit.lmlite.client import Client
from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.deployment import Deployment
from conduit.lmlite.dispatch import Emit, dispatch
from conduit.lmlite.metering import Meter
from conduit.lmlite.pool import Pool
from conduit.lmlite.portal import Portal, portal
from conduit.lmlite.request import LMReply, LMRequest
from conduit.lmlite.site import Site, open_site
from conduit.lmlite.typed import ask
from conduit.settings import Settings

T = TypeVar("T")

_clients: dict[int, tuple[Portal, Client]] = {}  # one, of this process's portal


class Caller:
    """Sends one LMLite's requests, and holds its deployment."""

    def __init__(self, config: ResourceConfig, settings: Settings) -> None:
        self._config, self._settings = config, settings
        self._opened: tuple[Portal, Site, Deployment] | None = None
        self.ended: str | None = None  # "stopped", "deleted" or "released", by this LMLite

    async def deployment(self) -> Deployment:
        """The deployment, up or not; opens the records at first use."""
        home = portal()
        # A forked child has a loop of its own, and nothing of the parent's is of use there.
        if self._opened is None or self._opened[0] is not home:
            site = await open_site(self._settings, self._config.provider)
            if self._opened is None or self._opened[0] is not home:  # another call may have been quicker
                self._opened = home, site, Deployment(site, _client(home), self._config)
        return self._opened[2]

    async def text(self, request: LMRequest, timeout_s: float | None, emit: Emit | None = None) -> str:
        """The answer's text; its pieces also go to ``emit`` as they come."""
        return await self._metered(request, lambda meter: self._text(request, timeout_s, emit, meter))

    async def value(self, prompt: mdl.Prompt[T], request: LMRequest, timeout_s: float | None) -> T:
        """The answer as a value of the prompt's type."""
        return await self._metered(request, lambda meter: self._value(prompt, request, timeout_s, meter))

    async def _text(
        self, request: LMRequest, timeout_s: float | None, emit: Emit | None, meter: Meter
    ) -> str:
        return (await self._send(request, timeout_s or self._settings.request_timeout_s, meter, emit)).text

    async def _value(
        self, prompt: mdl.Prompt[T], request: LMRequest, timeout_s: float | None, meter: Meter
    ) -> T:
        limit_s = timeout_s or self._settings.request_timeout_s
        if substitute.current() is None:
            await self.ready_pool()  # before the clock starts: a cold start has its own deadline
        deadline = time.monotonic() + limit_s

        async def send(attempt: LMRequest) -> LMReply:
            # Each retry gets what the ones before have left.
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise RequestTimeout(
                    f"No valid answer for {request.model_id} within {limit_s:g} s.",
                    hint="Give timeout_s=..., or set CONDUIT_REQUEST_TIMEOUT_S.",
                    model_id=request.model_id,
                    timeout_s=limit_s,
                )
            return await self._send(attempt, remaining_s, meter)

        parsed = await ask(prompt, request, send)
        meter.repairs = len(parsed.repairs)
        return parsed.value

    async def _send(
        self, request: LMRequest, timeout_s: float, meter: Meter, emit: Emit | None = None
    ) -> LMReply:
        fake = substitute.current()
        reply = (
            await self._send_to_replica(request, timeout_s, emit)
            if fake is None
            else await _send_to_substitute(fake, request, timeout_s, emit)
        )
        meter.add(reply)
        return reply

    async def _send_to_replica(self, request: LMRequest, timeout_s: float, emit: Emit | None) -> LMReply:
        pool, client = await self.ready_pool(), _client(portal())
        try:
            return await dispatch(pool, client, request, timeout_s=timeout_s, emit=emit)
        except NoReplica as error:
            if error.retry_after_s is not None:
                raise
            # All have gone, most likely by their idle limit, and none has worked on the request: start again.
            self._check_not_ended()
            pool = await (await self.deployment()).up(seen=pool)
            return await dispatch(pool, client, request, timeout_s=timeout_s, emit=emit)

    async def ready_pool(self) -> Pool:
        """The ready replicas, brought up if need be.

        Raises:
            DeploymentStopped: This LMLite was stopped or deleted.
        """
        self._check_not_ended()
        deployment = await self.deployment()
        return deployment.pool or await deployment.up()

    def _check_not_ended(self) -> None:
        if self.ended is not None:
            raise DeploymentStopped(
                f"This LMLite ({', '.join(self._config.model_ids)}) was {self.ended}.",
                hint="lm.up() starts it again.",
            )

    async def _metered(self, request: LMRequest, work: Callable[[Meter], Awaitable[T]]) -> T:
        meter, error_code = Meter(request), None
        try:
            return await work(meter)
        except ConduitError as error:
            error_code = error.code
            raise
        except BaseException as error:
            error_code = type(error).__name__
            raise
        finally:
            self._log(meter, error_code)

    def _log(self, meter: Meter, error_code: str | None) -> None:
        # Without a deployment nothing was asked of a model: a substitute answered, or it never came up.
        if self._opened is None or not self._settings.run_log or substitute.current() is not None:
            return
        _, site, deployment = self._opened
        cost_usd = 0.0 if self._config.provider is ComputeProvider.LOCAL else None
        site.store.log_call(meter.row(error=error_code, deployment_key=deployment.key, cost_usd=cost_usd))


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
            reply = await fake.respond(request)
    except TimeoutError as error:
        raise RequestTimeout(
            f"No answer for {request.model_id} within {timeout_s:g} s.",
            model_id=request.model_id,
            timeout_s=timeout_s,
        ) from error
    if emit is not None:
        for piece in re.findall(r"\S+\s*|\s+", reply.text):
            emit(piece)
    return reply
