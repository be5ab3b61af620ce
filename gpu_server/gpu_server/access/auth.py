"""The bearer token check: constant time, whatever the caller sends and whichever of the tokens it is."""

from __future__ import annotations

import hashlib
import hmac

from pydantic import SecretStr

from gpu_server.errors import unauthorized
from gpu_server.settings import TOKEN_SEPARATOR

OPEN_PATHS = frozenset({"/live"})
"""Paths that need no token: a liveness probe carries none."""


class BearerAuth:
    """Compares the `Authorization` header with the server's tokens.

    Args:
        tokens: One, or several with commas between them.
    """

    def __init__(self, tokens: SecretStr) -> None:
        given = tokens.get_secret_value().split(TOKEN_SEPARATOR)
        # Of digests the length tells nothing, and all are compared: time shows neither how near a guess came
        # nor which token it was.
        self._expected = [_digest(token.encode()) for token in given]

    def check(self, path: str, authorization: bytes | None) -> int:
        """Let the request pass, and return which of the tokens it showed, from 1; 0 where none is needed.

        Raises:
            ApiError: 401, when the path needs a token and the header has none or another.
        """
        if path in OPEN_PATHS:
            return 0
        if authorization is None:
            raise unauthorized("No token: send it as `Authorization: Bearer TOKEN`.")
        scheme, _, shown = authorization.partition(b" ")
        digest, number = _digest(shown.strip()), 0
        for position, expected in enumerate(self._expected, start=1):
            number += position * hmac.compare_digest(digest, expected)
        if scheme.lower() != b"bearer" or not number:
            raise unauthorized("The token is wrong.")
        return number


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
