"""One request to RunPod's API: authorised, bounded in time and size, tried once, and answered or raised."""

from __future__ import annotations

import logging
import math
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from conduit.compute.runpod.answers import (
    KEY_HINT,
    PROVIDER,
    Answer,
    error_of,
    is_problem,
    look_hint,
    unreadable,
)
from conduit.errors import AmbiguousAnswer, ProviderUnauthorized

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from conduit.settings import Settings

_LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 32 * 1024 * 1024


class Api:
    """RunPod's API for one account."""

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        *,
        timeout_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Opens nothing.

        Args:
            base_url: Without a trailing slash and without ``/v2``.
            key: Of the account; without one every request is refused here.
            timeout_s: Deadline of one request, its whole answer included.
            transport: In place of the network.
        """
        self._base_url = base_url
        self.key = key
        self._timeout_s = timeout_s
        self._transport = transport

    @classmethod
    def from_settings(cls, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> Api:
        """The API of the account whose key the settings hold."""
        return cls(
            settings.runpod_base_url,
            settings.runpod_api_key,
            timeout_s=settings.runpod_timeout_s,
            transport=transport,
        )

    async def items(
        self, path: str, name: str, params: Mapping[str, str | int] | None = None
    ) -> list[Mapping[str, Any]]:
        """GETs a whole list of objects.

        Raises:
            ProviderError: As ``error_of`` says; nothing, nothing readable, or only a part came back.
        """
        answer = self._checked(await self._ask("GET", path, params=params))
        document = _object(answer)
        found, pages = document.get(name), document.get("pagination")
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise unreadable(answer, f"it has no list of {name}")
        if isinstance(pages, dict) and pages.get("hasNextPage"):
            # What is not on the first page would count as gone.
            raise unreadable(answer, f"it has only {len(found)} of the {name}")
        return found

    async def find(self, path: str) -> dict[str, Any] | None:
        """GETs an object that may not be there: None where the API says that it is not.

        Raises:
            ProviderError: As ``items``.
        """
        answer = await self._ask("GET", path)
        return None if answer.status == 404 and is_problem(answer) else _object(self._checked(answer))

    async def create(self, path: str, body: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
        """POSTs for a machine.

        Args:
            path: What is created.
            body: As JSON.
            secrets: What of it is never to be shown.

        Raises:
            ProviderError: As ``items``; with ``AmbiguousAnswer`` it may have been created.
        """
        answer = await self._ask("POST", path, body=body)
        return _object(self._checked(answer, secrets=secrets, creates=True))

    async def delete(self, path: str) -> None:
        """DELETEs; what is not there is deleted.

        Raises:
            ProviderError: As ``items``.
        """
        answer = await self._ask("DELETE", path)
        if not (answer.status == 404 and is_problem(answer)):
            self._checked(answer)

    async def events(
        self, path: str, params: Mapping[str, str | int], *, quiet_s: float, max_bytes: int
    ) -> bytes:
        """What an event stream has to say now: until it is quiet for so long, ends, or has sent so much.

        Raises:
            ProviderError: As ``items``.
        """
        answer = await self._ask("GET", path, params=params, quiet_s=quiet_s, max_bytes=max_bytes)
        return self._checked(answer).body

    def _checked(self, answer: Answer, *, secrets: Iterable[str] = (), creates: bool = False) -> Answer:
        if 200 <= answer.status < 300:
            return answer
        key = self.key.get_secret_value() if self.key else ""
        raise error_of(answer, secrets=[key, *secrets], creates=creates)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        quiet_s: float = math.inf,
        max_bytes: int | None = None,
    ) -> Answer:
        asked = f"{method} {path}"
        if self.key is None:
            raise ProviderUnauthorized(
                f"RunPod needs a key, and none is set; {asked} was not sent.",
                hint=KEY_HINT,
                provider=PROVIDER,
            )
        encrypted = self._base_url.startswith("https:")
        try:
            with anyio.fail_after(self._timeout_s):
                # A client for each request: a provider is used from several event loops, and asked seldom.
                async with (
                    httpx.AsyncClient(
                        base_url=self._base_url,
                        headers={"Authorization": f"Bearer {self.key.get_secret_value()}"},
                        timeout=self._timeout_s,
                        transport=self._transport,
                        # Plain addresses are of this machine alone: no certificates, no proxy on the way.
                        verify=_certificates() if encrypted else False,
                        trust_env=encrypted,
                    ) as client,
                    client.stream(method, path, params=params, json=body) as response,
                ):
                    read = await _body(response, quiet_s, max_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise _lost(asked, f"RunPod did not answer {asked} within {self._timeout_s:g} s.") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise _lost(asked, f"RunPod's answer to {asked} did not come: {what}.") from error
        answer = Answer(asked, response.status_code, dict(response.headers), read)
        if max_bytes is None and len(read) > MAX_BODY_BYTES:
            raise unreadable(answer, f"it is longer than {MAX_BODY_BYTES} bytes")
        _LOG.debug("%s: %d, %d bytes", asked, answer.status, len(read))
        return answer


@cache
def _certificates() -> ssl.SSLContext:
    # Reading the authorities takes as long as a request: once for all.
    return httpx.create_ssl_context()


async def _body(response: httpx.Response, quiet_s: float, max_bytes: int | None) -> bytes:
    """The body, or what of it came before it was quiet or too long."""
    read = bytearray()
    pieces = response.aiter_bytes()
    while len(read) <= (MAX_BODY_BYTES if max_bytes is None else max_bytes):
        piece = None
        with anyio.move_on_after(quiet_s):
            piece = await anext(pieces, None)
        if piece is None:
            break
        read += piece
    return bytes(read)


def _object(answer: Answer) -> dict[str, Any]:
    found = answer.json
    if not isinstance(found, dict):
        raise unreadable(answer, "it is no JSON object")
    return found


def _lost(asked: str, message: str) -> AmbiguousAnswer:
    return AmbiguousAnswer(message, hint=look_hint(asked), provider=PROVIDER)
