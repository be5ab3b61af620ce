"""From what went wrong to the answer that an OpenAI client understands.

Errors of the replicas' own are forwarded as they are; here are those of the front, and those that have no answer.
What a caller reads names no path, no log and no address of this machine.
"""

from __future__ import annotations

import http
import json
import math
from dataclasses import dataclass
from typing import Any

from conduit.errors import (
    ArgumentInvalid,
    ConduitError,
    DeploymentStopped,
    ModelNotFound,
    NoReplica,
    NotAuthorized,
    Overloaded,
    ReplicaLost,
    RequestTimeout,
)


@dataclass(frozen=True)
class Refusal:
    """An error answer.

    Attributes:
        status: HTTP status.
        message: For people.
        code: For programs.
        retry_after_s: When to come back, where that may help.
    """

    status: int
    message: str
    code: str
    retry_after_s: float | None = None

    @property
    def body(self) -> bytes:
        """As OpenAI writes errors."""
        kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}.get(
            self.status, "server_error" if self.status >= 500 else "invalid_request_error"
        )
        error: dict[str, Any] = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}, separators=(",", ":")).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Without the length."""
        found = [(b"content-type", b"application/json")]
        if self.retry_after_s is not None:
            found.append((b"retry-after", b"%d" % max(1, math.ceil(self.retry_after_s))))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


class Refused(Exception):
    """Ends a request with that answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refuse(refusal: Refusal) -> bytes:
    """The whole answer as bytes, for a connection that ends with it."""
    status = http.HTTPStatus(refusal.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"content-length: {len(refusal.body)}",
        "connection: close",
    ]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in refusal.headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + refusal.body


def refusal_of(error: ConduitError) -> Refusal:
    """The answer for a request that ended with that error."""
    match error:
        case Overloaded():
            return Refusal(
                429, "The queues of all replicas are full.", "queue_full", error.retry_after_s or 1.0
            )
        case NotAuthorized():
            return Refusal(502, "A replica refused the token of this front.", "replica_refused")
        case RequestTimeout():
            return Refusal(504, f"No answer within {error.timeout_s:g} s.", "timeout")
        case ReplicaLost():
            return Refusal(503, "The replica that worked on it was lost.", "engine_lost", 1.0)
        case NoReplica():
            return Refusal(
                503, "No replica can take requests now.", "model_not_ready", error.retry_after_s or 1.0
            )
        case DeploymentStopped():
            return Refusal(503, "The deployment behind this address was stopped.", "deployment_stopped")
        case ModelNotFound() | ArgumentInvalid():
            return Refusal(404, error.message, "model_not_found")
        case _:
            return Refusal(503, f"The deployment did not come up ({error.code}).", "deployment_failed", 30.0)
