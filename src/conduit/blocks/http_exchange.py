"""One HTTP exchange with its limits: time for the whole of it, bytes while they arrive, attempts, redirects.

The blocks in ``http`` give it a request and get an answer or a typed error. It keeps no connection between calls.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx
import stamina

from conduit.errors import HttpError, HttpStatusError, HttpTimeout, HttpTooLarge

MAX_REDIRECTS = 10
MAX_RETRY_AFTER_S = 60.0
"""A server that asks for a longer pause gets an error at once: the flow's own retries are the place to wait."""
ERROR_BODY_BYTES = 2000
NOT_WORTH_A_RETRY = frozenset({501, 505})


@dataclass(frozen=True)
class Answer:
    """What came back."""

    url: str
    status: int
    headers: dict[str, str]
    content: bytes
    charset: str | None


class _Refused(Exception):
    """An answer with an error status that the caller wants to see, if no further attempt gives a better one."""

    def __init__(self, answer: Answer, retry_after_s: float | None) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Exchange:
    """A request that may take several attempts."""

    method: str
    url: str
    timeout_s: float
    max_bytes: int
    raise_for_status: bool

    def __str__(self) -> str:
        return f"{self.method} {shown(self.url)}"

    @property
    def silence_s(self) -> float:
        """How long a server may say nothing."""
        return self.timeout_s

    def run(self, retries: int, **request: Any) -> Answer:
        """Makes the request, at most ``1 + retries`` times."""
        if not (self.timeout_s > 0 and self.max_bytes >= 0 and retries >= 0):
            raise HttpError(
                f"{self}: timeout_s={self.timeout_s:g}, max_bytes={self.max_bytes}, retries={retries}",
                hint="timeout_s is above 0; max_bytes and retries are 0 or more.",
                url=shown(self.url),
            )
        request = {name: value for name, value in request.items() if value is not None}
        attempts = stamina.retry_context(
            on=self._retry,
            attempts=retries + 1,
            timeout=None,
            wait_initial=0.2,
            wait_max=5.0,
            wait_jitter=0.2,
        )
        # Opening a client is cheap beside a request, and one per call leaves no socket behind in any thread.
        with self._typed(), httpx.Client(verify=_tls(), timeout=self.silence_s) as client:
            try:
                for attempt in attempts:
                    with attempt:
                        return self._once(client, request)
            except _Refused as refused:
                return refused.answer
        raise AssertionError("the retry loop ends with a value or an error")

    def _retry(self, error: Exception) -> bool | float:
        if isinstance(error, HttpStatusError | _Refused):
            status = error.answer.status if isinstance(error, _Refused) else error.status or 0
            if status != 429 and (status < 500 or status in NOT_WORTH_A_RETRY):
                return False
            if error.retry_after_s is None:
                return True
            return error.retry_after_s if error.retry_after_s <= MAX_RETRY_AFTER_S else False
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return not _is_certificate_error(error)
        # An answer cut off in the middle: asking again is safe only where asking changes nothing.
        return self.method == "GET" and isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)

    def _once(self, client: httpx.Client, arguments: dict[str, Any]) -> Answer:
        with _Deadline(self.timeout_s) as deadline:
            try:
                request = client.build_request(
                    self.method, self.url, extensions={"trace": deadline.watch}, **arguments
                )
                response = self._follow(client, request)
                try:
                    answer = self._read(response)
                finally:
                    response.close()
            except httpx.TransportError as error:
                if deadline.passed or isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
                    raise self._late() from error
                raise
            # A body without a length simply ends when the deadline closes the connection.
            if deadline.passed:
                raise self._late()
        if answer.status >= 400:
            raise _Refused(answer, _retry_after_s(answer.headers.get("retry-after")))
        return answer

    def _follow(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        # httpx reads a redirect's body to its end when it follows it, however large; so it is not asked to.
        for _ in range(MAX_REDIRECTS + 1):
            if request.url.scheme not in ("http", "https") or not request.url.host:
                raise HttpError(
                    f"{self}: {shown(str(request.url))!r} is no http or https address",
                    hint="Write the whole address, such as https://example.org/page; read_file reads files.",
                    url=shown(self.url),
                )
            response = client.send(request, stream=True)
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
        raise HttpError(f"{self} was redirected more than {MAX_REDIRECTS} times", url=shown(self.url))

    def _read(self, response: httpx.Response) -> Answer:
        if response.status_code >= 400 and self.raise_for_status:
            raise self._status_error(response)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            raise self._too_large(f"announces {length} bytes")
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > self.max_bytes:
                raise self._too_large(f"sent {len(content)} bytes and goes on")
        return Answer(
            url=str(response.url.copy_with(userinfo=b"")),
            status=response.status_code,
            headers=dict(response.headers),
            content=bytes(content),
            charset=response.charset_encoding,
        )

    def _status_error(self, response: httpx.Response) -> HttpStatusError:
        start = bytearray()
        with suppress(httpx.HTTPError):  # the status is the news, also where the body never comes
            for chunk in response.iter_bytes():
                start += chunk
                if len(start) >= ERROR_BODY_BYTES:
                    break
        body = bytes(start[:ERROR_BODY_BYTES]).decode("utf-8", errors="replace")
        said = " ".join(body.split())[:200]
        retry_after_s = _retry_after_s(response.headers.get("retry-after"))
        return HttpStatusError(
            f"{self} answered {response.status_code} {response.reason_phrase}".rstrip()
            + (f": {said}" if said else ""),
            hint=_status_hint(response.status_code, retry_after_s),
            url=shown(self.url),
            status=response.status_code,
            retry_after_s=retry_after_s,
            body=body,
        )

    def _too_large(self, what: str) -> HttpTooLarge:
        return HttpTooLarge(
            f"{self} {what}; the limit is {self.max_bytes} bytes",
            hint="Give a larger max_bytes if that much fits in memory.",
            url=shown(self.url),
            limit_bytes=self.max_bytes,
        )

    def _late(self) -> HttpTimeout:
        return HttpTimeout(
            f"{self} gave no complete answer in {self.timeout_s:g} s",
            hint="Give a larger timeout_s, or look whether the server is busy.",
            url=shown(self.url),
            timeout_s=self.timeout_s,
        )

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """Raises httpx's errors as Conduit's."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise HttpTimeout(
                f"{self} found no connection in {self.timeout_s:g} s",
                hint="Check the address, the port and the network.",
                url=shown(self.url),
                timeout_s=self.timeout_s,
            ) from error
        except httpx.ConnectError as error:
            hint = (
                "The server's certificate is not trusted here; SSL_CERT_FILE names further authorities."
                if _is_certificate_error(error)
                else "Check the address, the port, and whether the server runs."
            )
            raise HttpError(f"{self} found no server: {error}", hint=hint, url=shown(self.url)) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise HttpError(
                f"{self}: the address cannot be used: {error}",
                hint="Write the whole address, such as https://example.org/page.",
                url=shown(self.url),
            ) from error
        # httpx lets ValueError and TypeError through for headers and parameters that HTTP cannot express.
        except (httpx.HTTPError, httpx.StreamError, ValueError, TypeError) as error:
            raise HttpError(f"{self} failed: {type(error).__name__}: {error}", url=shown(self.url)) from error


class _Deadline:
    """Shuts the connection down when time is up: httpx limits each read and write, not their sum."""

    def __init__(self, timeout_s: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(timeout_s, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def watch(self, event: str, info: dict[str, Any]) -> None:
        """The trace hook of httpx's transport; it sees each connection as it opens."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.passed:
                self._shut()

    def _pass(self) -> None:
        self.passed = True
        self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # The plain socket's method: an SSLSocket's own would pull its state from under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def shown(url: str) -> str:
    """The address as messages may show it: without user and password."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"[:300]


def _retry_after_s(value: str | None) -> float | None:
    """``Retry-After`` is a number of seconds or a date; what is neither counts as absent."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - dt.datetime.now(dt.UTC)).total_seconds())


def _status_hint(status: int, retry_after_s: float | None) -> str | None:
    if status in (401, 403):
        return "The server wants credentials, or others: give them in headers={'authorization': ...}."
    if status == 404:
        return "Check the path; raise_for_status=False returns such answers as they are."
    if retry_after_s is not None:
        return f"The server asks to come back in {retry_after_s:.0f} s."
    if status >= 500:
        return "The server failed; more retries help only if it recovers."
    return None


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


@cache
def _tls() -> ssl.SSLContext:
    # Reading the authorities takes some 20 ms; once a process is enough.
    return httpx.create_ssl_context()
