"""The routes of a front: who asks, what for, and what is answered without a replica.

Everything but ``/live`` needs the token. A request ends when its caller leaves, wherever it is: cancelled here, its
connection to the replica is closed, and the replica's engine drops it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from conduit.lmlite.config import ResourceConfig
from conduit.lmlite.front import reading
from conduit.lmlite.front.batches import Batches
from conduit.lmlite.front.door import Door, Doors
from conduit.lmlite.front.figures import CONTENT_TYPE, Figures
from conduit.lmlite.front.refusals import Refusal, Refused
from conduit.lmlite.front.relay import Backend, Relay
from conduit.lmlite.front.reply import Reply
from conduit.lmlite.front.request import CallerLeft, Request
from conduit.lmlite.replicas.pool import Pool

_log = logging.getLogger(__name__)

_FORWARDED = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
_TOLD = frozenset({"/live", "/ready", "/metrics", "/v1/models"})
_GOOD_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_BATCH = re.compile(r"/v1/batch/([\x21-\x7e]{1,128}?)(/status)?")
_TO_REPLICA = {b"content-type", b"traceparent", b"tracestate", b"x-conduit-caller", b"x-batch-id"}
_LEFT = 499


class App:
    """The application.

    Args:
        backend: The replicas.
        pool_now: The replicas if they are up, without bringing them up.
        config: What they serve.
        token: What callers show.
        doors: The connections.
        timeout_s: Deadline of one request.
    """

    def __init__(
        self,
        backend: Backend,
        pool_now: Callable[[], Pool | None],
        *,
        config: ResourceConfig,
        token: SecretStr,
        doors: Doors,
        timeout_s: float,
    ) -> None:
        self._backend, self._doors, self._pool_now = backend, doors, pool_now
        self._expected = b"Bearer " + token.get_secret_value().encode()
        self._relay = Relay(backend, timeout_s)
        self.configure(config)
        self._created = int(time.time())
        self.figures = Figures()
        self.draining = False

    def configure(self, config: ResourceConfig) -> None:
        """From now on the replicas serve this."""
        self._config = config
        self._sorter = reading.Sorter(config.model_ids, looks=config.routing.policy != "round_robin")
        self._batches = Batches(self._backend, config.model_ids[0])

    async def __call__(self, door: Door, request: Request) -> None:
        """Serves one request."""
        given = request.headers.get(b"x-request-id", b"")
        request_id = given.decode() if _GOOD_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        reply = Reply(door, request, request_id)
        begun, route = time.monotonic(), _route(request.path)
        self.figures.in_flight += 1
        try:
            await self._serve(request, reply, request_id)
        except Refused as error:
            await reply.refuse(error.refusal)
        except CallerLeft:
            pass
        except asyncio.CancelledError:
            if not door.gone:
                door.break_off()
                raise
        except Exception:
            _log.exception("request %s broke", request_id)
            await reply.refuse(Refusal(500, "The front failed on this request.", "internal"))
        finally:
            self.figures.in_flight -= 1
            first_s = reply.first_byte_at - begun if reply.first_byte_at and route in _FORWARDED else None
            self.figures.answered(route, _LEFT if door.gone or not reply.status else reply.status, first_s)

    async def _serve(self, request: Request, reply: Reply, request_id: str) -> None:
        path, method = request.path, request.method
        if path != "/live":
            await self._authorize(request)
        if path in _FORWARDED and method == "POST":
            if self.draining:
                raise Refused(Refusal(503, "This front is closing.", "draining", 1.0))
            body = await reading.read_body(request, self._doors.limits)
            what = self._sorter.routable(body)
            await self._relay.forward(path, _to_replica(request.headers, request_id), body, what, reply)
        elif path == "/v1/batch" and method == "POST":
            if self.draining:
                raise Refused(Refusal(503, "This front is closing.", "draining", 1.0))
            given = request.headers.get(b"x-batch-id", b"")
            batch_id = given.decode() if _GOOD_ID.fullmatch(given) else f"batch_{uuid.uuid4().hex}"
            rows = reading.stream_body(request)
            headers = _to_replica(request.headers, request_id)
            await self._batches.submit(request.target, headers, batch_id, rows, reply)
        elif (batch := _BATCH.fullmatch(path)) is not None and method in ("GET", "DELETE"):
            headers = _to_replica(request.headers, request_id)
            await self._batches.follow(method, request.target, headers, batch[1], reply)
        else:
            await self._tell(path, method, reply)

    async def _authorize(self, request: Request) -> None:
        given = request.headers.get(b"authorization")
        if given is not None and given[:7].lower() == b"bearer ":
            given = b"Bearer " + given[7:].strip()
        if given is None or not hmac.compare_digest(given, self._expected):
            await reading.discard(request)
            said = (
                "No token: send it as `Authorization: Bearer TOKEN`."
                if given is None
                else "The token is wrong."
            )
            raise Refused(Refusal(401, said, "unauthorized"))

    async def _tell(self, path: str, method: str, reply: Reply) -> None:
        """Answers what needs no replica."""
        known = path in _TOLD or path.startswith("/v1/models/")
        if not known and path not in _FORWARDED and path != "/v1/batch" and not _BATCH.fullmatch(path):
            raise Refused(Refusal(404, f"{method} {path[:200]}: Not Found.", "no_such_route"))
        if not known or method not in ("GET", "HEAD"):
            raise Refused(Refusal(405, f"{method} {path[:200]}: Method Not Allowed.", "method_not_allowed"))
        status, kind = 200, b"application/json"
        if path == "/metrics":
            kind, body = (
                CONTENT_TYPE,
                self.figures.text(len(self._doors.open), Counter(self._states().values())),
            )
        else:
            status, document = self._document(path)
            body = json.dumps(document, separators=(",", ":")).encode()
        await reply.whole(status, [(b"content-type", kind)], body)

    def _document(self, path: str) -> tuple[int, Any]:
        if path == "/live":
            return 200, {"status": "live"}
        if path == "/ready":
            states = self._states()
            ready = not self.draining and any(state in ("ready", "busy") for state in states.values())
            replicas = [{"node_id": node_id, "state": state} for node_id, state in states.items()]
            body = {"ready": ready, "draining": self.draining, "replicas": replicas}
            return (200 if ready else 503), body | {"models": list(self._config.model_ids)}
        models = [
            {
                "id": model.model_id,
                "object": "model",
                "created": self._created,
                "owned_by": "conduit",
                "max_model_len": model.max_model_len,
            }
            for model in self._config.models
        ]
        if path == "/v1/models":
            return 200, {"object": "list", "data": models}
        wanted = path.removeprefix("/v1/models/")
        for model in models:
            if model["id"] == wanted:
                return 200, model
        known = ", ".join(self._config.model_ids)
        raise Refused(
            Refusal(404, f"There is no model {wanted[:200]!r} here; it has: {known}.", "model_not_found")
        )

    def _states(self) -> dict[str, str]:
        pool = self._pool_now()
        return (
            {} if pool is None else {replica.node_id: pool.state(replica).value for replica in pool.replicas}
        )


def _route(path: str) -> str:
    if path in _FORWARDED or path in _TOLD:
        return path
    if path.startswith("/v1/batch"):
        return "/v1/batch"
    return "/v1/models" if path.startswith("/v1/models/") else "other"


def _to_replica(headers: dict[bytes, bytes], request_id: str) -> dict[str, str]:
    passed = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if name in _TO_REPLICA
    }
    passed["x-request-id"] = request_id
    return passed
