"""Blocks that fetch from and post to web servers: one request, its whole answer in memory, typed.

Every request has a time limit for the whole exchange (a server that drips bytes cannot stretch it), a size limit
that is enforced while the answer streams in, and retries. It is no crawler and no download manager: an answer
larger than the limit is an error, not a file.
"""

from __future__ import annotations

import json as json_text
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict
from pydantic_core import PydanticSerializationError, to_jsonable_python

from conduit.blocks.http_exchange import Answer, Exchange, shown
from conduit.dataflow import block
from conduit.errors import HttpError

MAX_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 30.0
RETRIES = 3

QueryParams = Mapping[str, str | int | float | bool | Sequence[str | int | float | bool | None] | None]


@dataclass(frozen=True)
class HttpResponse:
    """A complete answer.

    Attributes:
        url: Where the answer came from, after redirects.
        status: HTTP status code.
        headers: Names in lower case; a repeated header's values are joined with ``", "``.
        content: The body, decompressed.
        text: The body decoded with the charset that the server named, or as UTF-8; what does not decode is
            replaced by U+FFFD.
    """

    url: str
    status: int
    headers: dict[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    text: str = field(repr=False)

    # Not every body is UTF-8, and a response must survive being written to a JSON store and read back.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    def json(self) -> Any:
        """The body read as JSON.

        Raises:
            HttpError: It is not JSON.
        """
        try:
            return json_text.loads(self.content)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type")
            raise HttpError(
                f"The answer of {shown(self.url)} ({len(self.content)} bytes, {kind}) is not JSON: {error}",
                hint="Look at `.text`; servers often answer errors and log-in pages as HTML.",
                url=shown(self.url),
            ) from error


@block
def http_get(
    url: str,
    *,
    params: QueryParams | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
    retries: int = RETRIES,
    raise_for_status: bool = True,
) -> HttpResponse:
    """Fetches a URL.

    Args:
        url: An http or https address.
        params: Query parameters, added to those in the URL.
        headers: Request headers.
        timeout_s: Limit of one attempt, from connecting to the last byte.
        max_bytes: Largest body accepted, counted after decompression.
        retries: Further attempts after 429, 5xx, a failed connection or one cut in mid-answer. A ``Retry-After``
            of up to a minute is honoured.
        raise_for_status: Raise on 4xx and 5xx; else the answer is returned whatever its status.

    Raises:
        HttpStatusError: The status was 4xx or 5xx after all attempts.
        HttpTooLarge: The body is larger than ``max_bytes``; it was not read to its end.
        HttpTimeout: An attempt took longer than ``timeout_s``.
        HttpError: The URL cannot be used or the server cannot be reached.
    """
    exchange = Exchange("GET", url, timeout_s, max_bytes, raise_for_status)
    return response_of(exchange.run(retries, params=params, headers=headers))


@block
def http_post(
    url: str,
    *,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    content: str | bytes | None = None,
    params: QueryParams | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
    retries: int = RETRIES,
    raise_for_status: bool = True,
) -> HttpResponse:
    """Posts to a URL; the body is one of ``json``, ``form`` and ``content``, or empty.

    Args:
        url: An http or https address.
        json: A value that becomes JSON; dataclasses, pydantic models, dates and the like may be inside.
        form: Fields of an HTML form.
        content: The body as it is.
        params: Query parameters, added to those in the URL.
        headers: Request headers.
        timeout_s: Limit of one attempt, from connecting to the last byte.
        max_bytes: Largest answer accepted, counted after decompression.
        retries: Further attempts after 429, 5xx and connections that could not be opened. A connection that breaks
            after the request went out is not tried again; a server that acts on a request and still answers 5xx
            may act twice: give 0 there.
        raise_for_status: Raise on 4xx and 5xx; else the answer is returned whatever its status.

    Raises:
        HttpStatusError: The status was 4xx or 5xx after all attempts.
        HttpTooLarge: The answer is larger than ``max_bytes``; it was not read to its end.
        HttpTimeout: An attempt took longer than ``timeout_s``.
        HttpError: The request cannot be made or the server cannot be reached.
    """
    given = [
        name for name, value in (("json", json), ("form", form), ("content", content)) if value is not None
    ]
    if len(given) > 1:
        raise HttpError(
            f"POST {shown(url)} has {len(given)} bodies: {', '.join(given)}", hint="Give one.", url=shown(url)
        )
    exchange = Exchange("POST", url, timeout_s, max_bytes, raise_for_status)
    headers = dict(headers or {})
    if json is not None:
        content = _json_body(json, url)
        if not any(name.lower() == "content-type" for name in headers):
            headers["content-type"] = "application/json"
    answer = exchange.run(retries, params=params, headers=headers, data=form, content=content)
    return response_of(answer)


def response_of(answer: Answer) -> HttpResponse:
    """An answer as users see it."""
    return HttpResponse(
        url=answer.url,
        status=answer.status,
        headers=answer.headers,
        content=answer.content,
        text=_decoded(answer.content, answer.charset),
    )


def _decoded(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(charset or "utf-8", errors="replace")
    except LookupError:  # the server made the charset up
        return content.decode("utf-8", errors="replace")


def _json_body(value: Any, url: str) -> str:
    try:
        plain = to_jsonable_python(value)
        return json_text.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise HttpError(
            f"POST {shown(url)}: the body of type {type(value).__name__} cannot be JSON: {error}",
            hint="JSON has no NaN and no infinity; give plain values, dataclasses or pydantic models.",
            url=shown(url),
        ) from error
