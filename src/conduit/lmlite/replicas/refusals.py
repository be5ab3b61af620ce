"""From a server's error answer to the error that a caller sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from conduit.errors import (
    ConduitError,
    ModelNotFound,
    NoReplica,
    NotAuthorized,
    Overloaded,
    PromptTooLong,
    ReplicaLost,
    RequestRefused,
)

_OF_PROXIES = frozenset({404, 502, 504, *range(520, 531)})  # the last are Cloudflare's own
_DEFAULT_RETRY_S = 0.5
_SHOWN = 300


def refusal(
    status: int, body: bytes, headers: Mapping[str, str], *, model_id: str, replica: str
) -> ConduitError:
    """The typed error of an answer with an error status.

    ``Overloaded`` and ``NoReplica`` are for the moment only, ``ReplicaLost`` is of this replica; all others stay
    when the request is sent again. A proxy that knows no such server has handed the request to nobody: that is as
    if no connection could be made.
    """
    if by_proxy(status, body):
        if status == 404:
            return NoReplica(
                f"There is no replica {replica} for {model_id} any more: what stands before it said 404.",
                hint="lm.health() tells each replica's state.",
                model_id=model_id,
            )
        return ReplicaLost(
            f"Replica {replica} did not answer for {model_id}: what stands before it said {status}.",
            hint="lm.health() tells each replica's state.",
            model_id=model_id,
            replica=replica,
        )
    error = _error_object(body)
    said = str(error.get("message") or body[:_SHOWN].decode("utf-8", "replace") or "no message").rstrip(".")
    code = error.get("code")
    if status in (401, 403):
        return NotAuthorized(
            f"Replica {replica} refused its token with {status}: {said}.",
            hint="The data folder's owner.key has changed since the replica started: lm.restart() mends it.",
            status=status,
            model_id=model_id,
        )
    if status == 404 and code == "model_not_found":
        return ModelNotFound(
            f"Replica {replica} does not serve {model_id!r}: {said}.",
            hint="Its configuration differs from this LMLite's: lm.restart().",
            model_id=model_id,
        )
    if code == "context_length_exceeded":
        return PromptTooLong(
            f"{model_id}: {said}.",
            hint="Shorten the input, lower max_tokens, or raise max_model_len in its ModelConfig.",
            status=status,
            model_id=model_id,
        )
    if status == 429:
        return Overloaded(
            f"The queue of {model_id} on replica {replica} is full: {said}.",
            hint="Send fewer requests at a time, or raise replicas or max_model_concurrency.",
            status=status,
            model_id=model_id,
            retry_after_s=_retry_after_s(headers),
        )
    if status == 503:
        return NoReplica(
            f"Replica {replica} cannot answer for {model_id} now: {said}.",
            hint="lm.health() tells each replica's state.",
            model_id=model_id,
            retry_after_s=_retry_after_s(headers),
        )
    parameter = f" (parameter {error['param']})" if error.get("param") else ""
    return RequestRefused(
        f"Replica {replica} refused the request for {model_id} with {status}: {said}{parameter}.",
        hint="Correct the request." if status < 500 else "The replica's log has more; lm.health() names it.",
        status=status,
        model_id=model_id,
    )


def by_proxy(status: int, body: bytes) -> bool:
    """Whether an error comes from a proxy on the way, in the place of a server that it does not reach."""
    return status in _OF_PROXIES and not _error_object(body)


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _retry_after_s(headers: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return _DEFAULT_RETRY_S
