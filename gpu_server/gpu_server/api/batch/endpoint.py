"""`POST /v1/batch`, and what is asked of a batch later: its results from any place on, its state, its end."""

from __future__ import annotations

import re

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Send

from gpu_server import errors
from gpu_server.access.record import CALLER_LEFT, RequestRecord
from gpu_server.api.batch.batch import Batch
from gpu_server.api.batch.batches import Batches
from gpu_server.api.batch.intake import Intake
from gpu_server.api.caller import Answering

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]


class BatchEndpoint:
    """The routes of batches.

    Args:
        batches: All batches.
        max_line_bytes: Longest line of a body.
    """

    def __init__(self, batches: Batches, max_line_bytes: int) -> None:
        self._batches = batches
        self._max_line_bytes = max_line_bytes

    async def post(self, request: Request) -> Response:
        """Take rows in, and answer with the results as they come."""
        record: RequestRecord = request.scope["state"]["record"]
        batch_id = request.headers.get("x-batch-id")
        if batch_id is not None and not _GOOD_ID.fullmatch(batch_id):
            raise errors.bad_request(
                "x-batch-id: it has 1 to 64 letters, digits, dots, dashes and underscores.",
                param="x-batch-id",
            )
        after = _after(request)
        intake = Intake(self._max_line_bytes)
        try:
            await intake.take(request.stream())
            batch = await self._batches.add(record, batch_id, intake)
        except ClientDisconnect:
            record.status = CALLER_LEFT
            return Response()
        finally:
            intake.spool.close()
        return _results(batch, after, record)

    async def one(self, request: Request) -> Response:
        """Answer with the results from a place on; or stop a batch that runs, or forget one that has ended."""
        batch = self._found(request)
        if request.method == "DELETE":
            await self._batches.cancel(batch)
            return JSONResponse(batch.describe())
        record: RequestRecord = request.scope["state"]["record"]
        return _results(batch, _after(request), record)

    async def status(self, request: Request) -> Response:
        """Answer with the state."""
        return JSONResponse(self._found(request).describe())

    def _found(self, request: Request) -> Batch:
        record: RequestRecord = request.scope["state"]["record"]
        return self._batches.find(record, request.path_params["batch_id"])


def _results(batch: Batch, after: int, record: RequestRecord) -> Response:
    async def work(send: Send) -> None:
        headers = [*_HEADERS, (b"x-batch-id", batch.id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # The head goes out now: a first result may take long.
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for lines in batch.results(after):
            await send({"type": "http.response.body", "body": lines, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return Answering(record, work)


def _after(request: Request) -> int:
    given = request.query_params.get("after", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise errors.bad_request("after: it is the number of results to leave out, 0 or more.", param="after")
    return int(given)
