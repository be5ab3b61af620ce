"""One Docker Engine, spoken to over its socket: requests with a deadline and answers of bounded size.

What an answer means for a node is not decided here.
"""

from __future__ import annotations

import json
import os
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx

from conduit.errors import AmbiguousAnswer, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

DEFAULT = "unix:///var/run/docker.sock"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_BYTES = 16 * 1024 * 1024
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used, and httpx would load all authorities for it


@dataclass(frozen=True)
class Answer:
    """What the engine answered."""

    status: int
    content: bytes

    @property
    def message(self) -> str:
        """The engine's own words for an error."""
        try:
            return str(json.loads(self.content)["message"])
        except (ValueError, KeyError, TypeError):
            return self.content[:300].decode(errors="replace")

    def json(self) -> Any:
        """The value.

        Raises:
            AmbiguousAnswer: It is none.
        """
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise AmbiguousAnswer(
                f"The Docker Engine answered {self.status} with something that is no JSON: {self.message!r}.",
                hint="See whether something else listens at that address.",
                provider="docker",
                status=self.status,
            ) from error


class Engine:
    """An engine at an address; connections are opened anew for each request, so any event loop may use it."""

    def __init__(self, address: str | None = None, *, timeout_s: float = 30.0) -> None:
        """Connects to nothing yet.

        Args:
            address: As in ``DOCKER_HOST``; None for the usual sockets of this machine.
            timeout_s: Deadline of a request.

        Raises:
            ProviderUnavailable: The address is of another machine, or of a form that is not understood.
        """
        self.address = address or _usual_address()
        self.timeout_s = timeout_s
        self._socket, self._base_url = _where(self.address)
        self._version: str | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        more_s: float = 0.0,
    ) -> Answer:
        """Sends one request and reads the whole answer, whatever its status.

        Args:
            method: HTTP's.
            path: Without the version of the API.
            params: Query.
            body: To be sent as JSON.
            more_s: What the engine may take beyond the usual time.

        Raises:
            ProviderUnavailable: No engine is there, so nothing was asked for.
            AmbiguousAnswer: There is no answer in time, or none that can be read.
        """
        async with self._opened(method, path, params, body, self.timeout_s + more_s) as response:
            return Answer(response.status_code, await _read(response))

    @asynccontextmanager
    async def lines(
        self, method: str, path: str, *, params: Mapping[str, str], quiet_s: float, timeout_s: float
    ) -> AsyncIterator[tuple[int, AsyncIterator[str]]]:
        """The status of an answer and its lines as they come.

        Args:
            method: HTTP's.
            path: Without the version of the API.
            params: Query.
            quiet_s: How long the engine may send nothing.
            timeout_s: Deadline of the whole.

        Raises:
            ProviderUnavailable: No engine is there.
            AmbiguousAnswer: It fell silent or was cut off.
        """
        async with self._opened(method, path, params, None, timeout_s, read_s=quiet_s) as response:
            yield response.status_code, response.aiter_lines()

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Any,
        timeout_s: float,
        read_s: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        try:
            with anyio.fail_after(timeout_s):
                async with self._client(read_s or timeout_s) as client:
                    version = await self._negotiated(client)
                    async with client.stream(
                        method, f"/v{version}{path}", params=params, json=body
                    ) as answer:
                        yield answer
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._nobody(str(error)) from error
        except (httpx.HTTPError, TimeoutError) as error:
            problem = f"{type(error).__name__} after at most {timeout_s:.0f} s"
            raise AmbiguousAnswer(
                f"The Docker Engine at {self.address} gave no answer to {method} {path}: {problem}.",
                hint="Look with `docker ps --all`; restart Docker if that hangs as well.",
                provider="docker",
            ) from error

    async def _negotiated(self, client: httpx.AsyncClient) -> str:
        """The engine's own version of the API: what is used here is in all of them."""
        if self._version is None:
            answer = await client.get("/_ping")
            version = answer.headers.get("api-version", "")
            if not version.replace(".", "").isdigit():
                raise self._nobody(f"something else answers there with {answer.status_code}")
            self._version = str(version)
        return self._version

    def _client(self, read_s: float) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=self._socket, verify=_NO_TLS),
            base_url=self._base_url,
            timeout=httpx.Timeout(read_s, connect=min(5.0, self.timeout_s)),
            trust_env=False,
        )

    def _nobody(self, problem: str) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"No Docker Engine answers at {self.address}: {problem or 'no connection'}.",
            hint="Start it (`sudo systemctl start docker`), join the group `docker`, or set DOCKER_HOST.",
        )


async def _read(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > _MAX_BYTES:
            raise AmbiguousAnswer(
                f"The Docker Engine's answer is larger than {_MAX_BYTES} bytes.",
                hint="See what `docker ps --all` shows.",
                provider="docker",
                status=response.status_code,
            )
        parts.append(part)
    return b"".join(parts)


def _usual_address() -> str:
    rootless = Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "docker.sock"
    return (
        f"unix://{rootless}" if rootless.exists() and not Path(urlsplit(DEFAULT).path).exists() else DEFAULT
    )


def _where(address: str) -> tuple[str | None, str]:
    """Path of the socket, and the base URL."""
    url = urlsplit(address)
    if url.scheme == "unix" and url.path:
        return url.path, "http://docker"
    if url.scheme in ("tcp", "http") and url.hostname in _LOOPBACK and url.port:
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return None, f"http://{host}:{url.port}"
    raise ProviderUnavailable(
        f"Conduit does not use the Docker Engine at {url.scheme}://{url.hostname or url.path}: containers' "
        "ports are opened on the loopback of their machine only.",
        hint="Use an engine of this machine (unix:///path or tcp://127.0.0.1:port), or compute_provider='ssh' "
        "for another machine.",
    )
