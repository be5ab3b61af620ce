"""Whether a Prefect server is in reach, answered within seconds.

Prefect starts a server within the process when none is configured, which takes long and may fail only after its own
time limit; and when a server goes away in the middle of a flow, Prefect drops what tasks report and fails at the
flow's end, minutes later. What Conduit starts for a user asks here first, and a block's call asks now and then.
"""

from __future__ import annotations

import logging
import threading
import time

from conduit.errors import FlowServerUnreachable

logger = logging.getLogger(__name__)

# How long an answer holds, and how long a server may be away: one that has never answered, and one that did, which
# may be at its restart.
_HOLDS_S = 15.0
_GRACE_S = 8.0
_RESTART_S = 90.0
_PAUSE_S = 0.25

_HINT = (
    "Start one with `prefect server start` and set PREFECT_API_URL to its address, for example "
    "http://127.0.0.1:4200/api; or let `conduit demo` start its own."
)

_lock = threading.Lock()
_answered: dict[str | None, float] = {}


def require_server() -> str:
    """The address of the Prefect API, when it answers.

    Raises:
        FlowServerUnreachable: None is configured, or it does not answer.
    """
    from conduit.dataflow import prefect_api

    url = prefect_api.api_url()
    if url is None:
        raise FlowServerUnreachable("No Prefect server is configured.", hint=_HINT)
    error = prefect_api.health(url)
    if error is not None:
        raise unreachable(url, error) from error
    return url


def known_to_answer(url: str | None) -> bool:
    """Whether the server has answered lately, so that a call need not ask."""
    return time.monotonic() - _answered.get(url, -_HOLDS_S) < _HOLDS_S


def ensure(url: str | None, block: str) -> None:
    """Lets a block's call go on when the flow's server answers; waits a little for one that restarts.

    Raises:
        FlowServerUnreachable: It does not answer.
    """
    from conduit.dataflow import prefect_api

    with _lock:
        if known_to_answer(url):
            return
        if url is None:
            logger.warning(
                "This flow runs on Prefect's temporary server, which is slow and shows no graph. %s", _HINT
            )
        begun, said = time.monotonic(), False
        grace_s = _RESTART_S if url in _answered else _GRACE_S
        while url is not None and (error := prefect_api.health(url)) is not None:
            if time.monotonic() - begun > grace_s:
                raise unreachable(url, error, block) from error
            if not said:
                logger.warning(
                    "The Prefect server at %s does not answer; waiting for it up to %g s", url, grace_s
                )
                said = True
            time.sleep(_PAUSE_S)
        _answered[url] = time.monotonic()


def unreachable(url: str | None, error: Exception, block: str | None = None) -> FlowServerUnreachable:
    """The error for a server that does not answer."""
    where = f", so block {block!r} was not run" if block else ""
    return FlowServerUnreachable(
        f"The Prefect server at {url} does not answer{where}: {type(error).__name__}: {error}",
        hint=_HINT,
        api_url=url,
        block=block,
    )
