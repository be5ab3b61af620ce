"""The lines of a batch, in OpenAI's form: a request each on the way in, its answer on the way out."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from gpu_server.api.reading import RequestBody, read
from gpu_server.errors import ApiError

Url = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]


class BatchLine(RequestBody):
    """One row of a batch."""

    custom_id: Annotated[str, Field(min_length=1, max_length=256)]
    method: Literal["POST"]
    url: Url
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One row to be answered.

    Attributes:
        key: Tells it from the other rows: its custom_id, or for a line that is none, what it is.
        digest: Of what it asks.
        custom_id: The caller's name of it.
        url: Which route answers it.
        content: The body; for a line that is none, the error that answers it.
    """

    key: str
    digest: bytes
    custom_id: str | None
    url: Url | None
    content: bytes


def read_line(line: bytes, number: int) -> Row:
    """Return the row of a line; a line that is none becomes a row that is answered by its error.

    Args:
        line: Without its end.
        number: Its place in the body, from 1.
    """
    try:
        given = read(line, BatchLine)
    except ApiError as error:
        return bad_row(line, number, error)
    body = json.dumps(given.body).encode()
    asked = json.dumps([given.url, given.body], sort_keys=True).encode()
    return Row(given.custom_id, _digest(asked), given.custom_id, given.url, body)


def bad_row(line: bytes, number: int, error: ApiError) -> Row:
    """Return a row that is answered by an error."""
    digest = _digest(line)
    content = {
        "code": error.code,
        "message": f"Line {number}: {error.message}",
        "param": error.param,
        "line": number,
    }
    # No custom_id has a line break.
    return Row(f"\n{number} {digest.hex()}", digest, None, None, json.dumps(content).encode())


def answer_line(custom_id: str | None, request_id: str, status: int, body: dict[str, Any]) -> bytes:
    """Return the line of a row that a route has answered, with its result or its error."""
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _line(custom_id, response, None)


def error_line(custom_id: str | None, error: dict[str, Any]) -> bytes:
    """Return the line of a row that no route has seen."""
    return _line(custom_id, None, error)


def _line(custom_id: str | None, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    line = {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
