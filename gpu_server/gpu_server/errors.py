"""Errors as the OpenAI protocol writes them: `{"error": {"message", "type", "param", "code"}}`.

Everything that a caller can be told is an `ApiError`; the functions below are the only places that choose status
codes and error codes.

    400 bad_request, unsupported, context_length_exceeded, schema_refused     401 unauthorized
    404 model_not_found, no_such_route    405 method_not_allowed    408 body_too_slow    413 body_too_large
    429 queue_full    431 headers_too_large    500 engine_failed    503 model_not_ready
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


def context_length_exceeded(prompt_tokens: int, max_tokens: int | None, max_model_len: int) -> ApiError:
    """The prompt, or the prompt with the answer that was asked for, does not fit the model."""
    if max_tokens is None:
        asked, total = "", f"at least {prompt_tokens + 1}"
    else:
        asked, total = f" and {max_tokens} were asked for the completion", str(prompt_tokens + max_tokens)
    return ApiError(
        400,
        f"This model's maximum context length is {max_model_len} tokens (max_model_len). The messages have "
        f"{prompt_tokens} tokens{asked}: {total} in all. Shorten the messages or lower max_tokens.",
        param="messages",
        code="context_length_exceeded",
    )


def schema_refused(why: str) -> ApiError:
    """The grammar cannot enforce this JSON schema."""
    return ApiError(
        400,
        f"response_format.json_schema.schema cannot be enforced: {why}",
        param="response_format.json_schema.schema",
        code="invalid_json_schema",
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


def headers_too_large(max_header_bytes: int) -> ApiError:
    """A head of more bytes than the server takes."""
    return ApiError(
        431, f"The request's headers are over {max_header_bytes} bytes.", code="headers_too_large"
    )


def body_too_slow(seconds: float) -> ApiError:
    """The body did not arrive in time."""
    return ApiError(408, f"The request body did not arrive within {seconds:g} s.", code="body_too_slow")


def queue_full(model_id: str, waiting: int, retry_after_s: int) -> ApiError:
    """The model's queue has no place left."""
    return ApiError(
        429,
        f"The queue of {model_id!r} is full: {waiting} requests wait. Try again in {retry_after_s} s.",
        kind="rate_limit_error",
        code="queue_full",
        headers={"retry-after": str(retry_after_s)},
    )


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
