"""Errors as the OpenAI protocol writes them: `{"error": {"message", "type", "param", "code"}}`.

Everything that a caller can be told is an `ApiError`; the functions below are the only places that choose status
codes and error codes.

    400 bad_request, unsupported, not_able, context_length_exceeded, schema_refused, too_many_rows, not_http
    401 unauthorized    404 model_not_found, batch_not_found, no_such_route    405 method_not_allowed
    408 head_too_slow, body_too_slow    409 batch_differs    413 body_too_large    431 headers_too_large
    429 queue_full, rate_limited, too_many_batches    500 engine_failed, internal
    503 model_not_ready, engine_lost, draining, too_many_connections, schema_check_busy
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.responses import JSONResponse

INVALID = "invalid_request_error"


class ApiError(Exception):
    """An answer other than 200, with the body and the headers that it needs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the body in OpenAI's form."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the whole answer."""
        return JSONResponse(self.body(), status_code=self.status, headers=self.headers)


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """Malformed JSON, a wrong type, a value out of range."""
    return ApiError(400, message, param=param, code=code)


def unsupported(param: str, why: str) -> ApiError:
    """A parameter that this server or this engine does not carry out."""
    return ApiError(400, f"{param}: {why}", param=param, code="unsupported_parameter")


def context_length_exceeded(
    prompt_tokens: int | None, max_tokens: int | None, max_model_len: int, param: str = "messages"
) -> ApiError:
    """The prompt, or the prompt with the answer that was asked for, does not fit the model."""
    known = prompt_tokens or 1
    if max_tokens is None:
        asked, total = "", f"at least {known + 1}"
    else:
        asked, total = f" and {max_tokens} were asked for the completion", str(known + max_tokens)
    return ApiError(
        400,
        f"This model's maximum context length is {max_model_len} tokens (max_model_len). The {param} have "
        f"{'at least 1 token' if prompt_tokens is None else f'{prompt_tokens} tokens'}{asked}: {total} in all. "
        f"Shorten the {param} or lower max_tokens.",
        param=param,
        code="context_length_exceeded",
    )


def prompt_too_long(why: str) -> ApiError:
    """The engine itself found that prompt and answer do not fit."""
    return ApiError(400, why, param="messages", code="context_length_exceeded")


def schema_refused(why: str, param: str = "response_format.json_schema.schema") -> ApiError:
    """The grammar cannot enforce this JSON schema."""
    return ApiError(400, f"{param} cannot be enforced: {why}", param=param, code="invalid_json_schema")


def schema_check_busy(retry_after_s: int) -> ApiError:
    """Other callers' schemas hold the check of this one."""
    return ApiError(
        503,
        f"Other schemas take too long to check; this one was not looked at. Try again in {retry_after_s} s.",
        kind="server_error",
        code="schema_check_busy",
        headers={"retry-after": str(retry_after_s)},
    )


def not_able(model_id: str, what: str) -> ApiError:
    """The model's engine has no such ability at all."""
    return ApiError(
        400, f"The model {model_id!r} is not served for {what}.", param="model", code="unsupported_by_model"
    )


def unauthorized(message: str) -> ApiError:
    """No token, or a wrong one."""
    return ApiError(
        401,
        message,
        kind="authentication_error",
        code="invalid_api_key",
        headers={"www-authenticate": "Bearer"},
    )


def model_not_found(model_id: str, served: Iterable[str]) -> ApiError:
    """An id that this server does not serve."""
    shown = model_id if len(model_id) <= 200 else model_id[:200] + "…"
    return ApiError(
        404,
        f"The model {shown!r} is not served here. Served: {', '.join(sorted(served))}.",
        param="model",
        code="model_not_found",
    )


def body_too_large(max_body_bytes: int) -> ApiError:
    """More bytes than the server takes."""
    return ApiError(
        413, f"The request body is over {max_body_bytes} bytes (max_body_bytes).", code="body_too_large"
    )


def headers_too_large(max_header_bytes: int, max_headers: int) -> ApiError:
    """A head of more bytes or lines than the server takes."""
    return ApiError(
        431,
        f"The request's headers are over {max_header_bytes} bytes, or more than {max_headers}.",
        code="headers_too_large",
    )


def not_http() -> ApiError:
    """Bytes that are no HTTP request."""
    return ApiError(400, "This is no valid HTTP/1.1 request.", code="bad_http")


def head_too_slow(seconds: float) -> ApiError:
    """The head did not arrive in time."""
    return ApiError(408, f"The request's head did not arrive within {seconds:g} s.", code="head_too_slow")


def body_too_slow(seconds: float) -> ApiError:
    """The body did not arrive in time."""
    return ApiError(
        408,
        f"The request body did not arrive within {seconds:g} s.",
        code="body_too_slow",
        headers={"connection": "close"},
    )


def queue_full(model_id: str, waiting: int, retry_after_s: int) -> ApiError:
    """The model's queue has no place left."""
    return ApiError(
        429,
        f"The queue of {model_id!r} is full: {waiting} requests wait. Try again in {retry_after_s} s.",
        kind="rate_limit_error",
        code="queue_full",
        headers={"retry-after": str(retry_after_s)},
    )


def rate_limited(requests_per_s: float, retry_after_s: int) -> ApiError:
    """The token has used up its requests for now."""
    return ApiError(
        429,
        f"This token may send {requests_per_s:g} requests a second (requests_per_s). "
        f"Try again in {retry_after_s} s.",
        kind="rate_limit_error",
        code="rate_limited",
        headers={"retry-after": str(retry_after_s)},
    )


def draining(retry_after_s: int) -> ApiError:
    """The server finishes what runs and takes nothing new."""
    return ApiError(
        503,
        "This server is about to end and takes no new requests; send it to another one.",
        kind="server_error",
        code="draining",
        headers={"retry-after": str(retry_after_s), "connection": "close"},
    )


def too_many_connections(most: int) -> ApiError:
    """There is no room for one more connection."""
    return ApiError(
        503,
        f"This server has {most} connections open and takes no more (max_connections). Use fewer, or keep them.",
        kind="server_error",
        code="too_many_connections",
        headers={"retry-after": "1"},
    )


def internal() -> ApiError:
    """A fault of the server itself; the log has the details."""
    return ApiError(500, "The server failed on this request.", kind="server_error", code="internal")


def model_not_ready(model_id: str, state: str, reason: str | None, retry_after_s: int) -> ApiError:
    """The model is still loading, or failed to load."""
    return ApiError(
        503,
        f"The model {model_id!r} is {state}{f': {reason}' if reason else ''}.",
        kind="server_error",
        code="model_not_ready",
        headers={"retry-after": str(retry_after_s)},
    )


def engine_failed(model_id: str) -> ApiError:
    """The engine broke off; the log has the details."""
    return ApiError(
        500, f"The engine of {model_id!r} failed on this request.", kind="server_error", code="engine_error"
    )


def engine_lost(model_id: str, retry_after_s: int) -> ApiError:
    """The engine ended while it had this request; another replica may answer it at once."""
    return ApiError(
        503,
        f"The engine of {model_id!r} ended while it worked on this request; it is being replaced.",
        kind="server_error",
        code="engine_lost",
        headers={"retry-after": str(retry_after_s)},
    )


def batch_not_found(batch_id: str) -> ApiError:
    """No batch of this id: it never was, or its results are no longer kept."""
    return ApiError(
        404,
        f"There is no batch {batch_id!r} here: it never was, or its results are no longer kept "
        "(batch_retention_s).",
        param="batch_id",
        code="batch_not_found",
    )


def batch_differs(custom_id: str) -> ApiError:
    """A row of a known custom_id asks for something else than before."""
    return ApiError(
        409,
        f"The batch has a row with the custom_id {custom_id[:100]!r} and another body. Use another custom_id or "
        "another batch id.",
        param="custom_id",
        code="batch_row_differs",
    )


def too_many_batches(most: int, retry_after_s: int) -> ApiError:
    """No room for one more batch."""
    return ApiError(
        429,
        f"{most} batches are running here, and this server takes no more at a time.",
        kind="rate_limit_error",
        code="too_many_batches",
        headers={"retry-after": str(retry_after_s)},
    )


def too_many_rows(most: int) -> ApiError:
    """A batch of more rows than the server keeps."""
    return ApiError(
        400, f"A batch has at most {most} rows; send the rest as another one.", code="too_many_rows"
    )
