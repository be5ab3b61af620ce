"""Retries and time limits of one call: the same outside a flow and for each item of a batch.

Inside a flow the retries of a single call are Prefect's, so that they show in its interface; which errors are worth
a retry is decided here for both.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

import anyio

from conduit import errors, leash
from conduit.dataflow.options import Options

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A second attempt would meet the same wall, and may cost money.
_FINAL = (
    errors.BlockInputError,
    errors.BlockOutputError,
    errors.BlockDefinitionError,
    errors.MDLError,
    errors.ArgumentInvalid,
    errors.ModelNotFound,
    errors.ModelDoesNotFit,
    errors.RequestRefused,
    errors.DeploymentStopped,
    errors.ProviderUnavailable,
    errors.ApprovalError,
    errors.CassetteError,
    errors.HttpTooLarge,
    errors.TransactionError,
    errors.MissingDependency,
)
# Of these kinds, but another draw of the model or another moment may do.
_PASSING = (errors.OutputInvalid, errors.Overloaded)
# A server's answers that the request is at fault, those aside that mean "later".
_FAULTS = frozenset(range(400, 500)) - {408, 425, 429}


def worth_a_retry(error: BaseException, options: Options | None = None) -> bool:
    """Whether another attempt could end otherwise: as the options say, or else by the error's kind."""
    chosen = None if options is None else options.retry_on
    if chosen is not None:
        return isinstance(error, chosen) if isinstance(chosen, tuple) else bool(chosen(error))
    if isinstance(error, errors.HttpStatusError):
        return error.status not in _FAULTS
    return not isinstance(error, _FINAL) or isinstance(error, _PASSING)


def attempt(call: Callable[[], T], options: Options) -> T:
    """Calls, and calls again after errors that are worth it, as often as the options say."""
    for retry in range(1, options.retries + 1):
        try:
            return call()
        except Exception as error:
            if not worth_a_retry(error, options):
                raise
            leash.sleep(_announced(options, retry, error))
    return call()


async def attempt_async(call: Callable[[], Awaitable[T]], options: Options) -> T:
    """``attempt`` for a call that is awaited."""
    for retry in range(1, options.retries + 1):
        try:
            return await call()
        except Exception as error:
            if not worth_a_retry(error, options):
                raise
            await anyio.sleep(_announced(options, retry, error))
    return await call()


def _announced(options: Options, retry: int, error: Exception) -> float:
    delay_s = options.delay_before(retry)
    logger.warning(
        "%s failed (%s: %s); retry %d of %d in %g s",
        options.name,
        type(error).__name__,
        error,
        retry,
        options.retries,
        delay_s,
    )
    return delay_s


def within(call: Callable[[], T], timeout_s: float, name: str) -> T:
    """Calls in a thread and waits no longer than the limit.

    Python cannot end a thread: past the limit the function runs on unseen, and what it returns is dropped.
    """
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    # A daemon, for a function that never ends must not keep the process alive.
    threading.Thread(target=copy_context().run, args=(run,), name=f"conduit-{name}", daemon=True).start()
    try:
        return result.result(timeout_s)
    except TimeoutError as error:
        if result.done():
            raise
        raise _timed_out(name, timeout_s) from error


async def within_async(call: Callable[[], Awaitable[T]], timeout_s: float, name: str) -> T:
    """Awaits the call and cancels it at the limit."""
    with anyio.move_on_after(timeout_s) as scope:
        return await call()
    assert scope.cancelled_caught
    raise _timed_out(name, timeout_s)


def _timed_out(name: str, timeout_s: float) -> errors.BlockTimeout:
    return errors.BlockTimeout(
        f"Block {name!r} did not end within {timeout_s:g} s.",
        hint="Give it more with timeout_s=..., or let it do less in one call.",
        block=name,
        timeout_s=timeout_s,
    )
