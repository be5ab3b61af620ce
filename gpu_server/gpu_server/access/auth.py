"""The bearer token check: constant time, whatever the caller sends."""

from __future__ import annotations

import hmac

from pydantic import SecretStr

from gpu_server.errors import unauthorized

OPEN_PATHS = frozenset({"/live"})
"""Paths that need no token: a liveness probe carries none."""


class BearerAuth:
    """Compares the `Authorization` header with the server's token."""

    def __init__(self, token: SecretStr) -> None:
        self._expected = token.get_secret_value().encode()

    def check(self, path: str, authorization: bytes | None) -> None:
        """Let the request pass.

        Raises:
            ApiError: 401, when the path needs a token and the header has none or another.
        """
        if path in OPEN_PATHS:
            return
        if authorization is None:
            raise unauthorized("No token: send it as `Authorization: Bearer TOKEN`.")
        scheme, _, given = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._expected):
            raise unauthorized("The token is wrong.")
