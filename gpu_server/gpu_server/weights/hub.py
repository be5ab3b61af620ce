"""The hub over HTTP: the list of a model's files, and the bytes of one from an offset on.

What will not pass is a `LoadError` with the operator's next step; what may is `TryAgain`. No text quotes a URL that
the hub redirects to: those are signed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import Listing, RemoteFile
from gpu_server.weights.patience import Broken, TryAgain

DEFAULT_ENDPOINT = "https://huggingface.co"
TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105  (a name, not a secret)
CONNECT_S = 30.0
STALL_S = 60.0
_LIST_S = 60.0
_PIECE_BYTES = 1024 * 1024
_REPO = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


class Hub:
    """A hub of Hugging Face's form.

    Args:
        session: Of HTTP; its owner closes it.
        environment: Names the hub (`HF_ENDPOINT`) and the token.
        stall_s: How long a connection may be silent.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        environment: Mapping[str, str] = os.environ,
        *,
        stall_s: float = STALL_S,
    ) -> None:
        self._session = session
        self._endpoint = environment.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT
        self._token = _token(environment)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=stall_s)
        self.host = urlsplit(self._endpoint).hostname or "the hub"

    async def listing(self, repo: str, revision: str) -> Listing:
        """Return the files of a model.

        Raises:
            LoadError: There is no such model or revision, or it may not be read.
            TryAgain: The hub cannot answer now.
        """
        if not _REPO.fullmatch(repo):
            raise LoadError(f"{repo[:100]!r} is no model id of a hub: give `path` for a model in a folder")
        url = f"{self._endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"
        try:
            async with (
                asyncio.timeout(_LIST_S),
                self._session.get(url, params={"blobs": "true"}, headers=self._headers()) as answer,
            ):
                await self._check(answer, repo, f"revision {revision!r}")
                told = json.loads(await answer.read())
            files = tuple(_file(sibling) for sibling in told["siblings"])
            return Listing(repo, str(told["sha"]), files)
        except aiohttp.InvalidURL as error:
            raise LoadError(f"HF_ENDPOINT={_shown(self._endpoint)!r} is no address of a hub") from error
        except (ValueError, LookupError, TypeError) as error:
            raise TryAgain(f"{self.host} sent no list of files for {repo}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TryAgain(self._trouble(error)) from error

    async def content(self, listing: Listing, file: RemoteFile, offset: int) -> AsyncGenerator[bytes, None]:
        """Yield a file from an offset on, in pieces.

        Raises:
            LoadError: It may not be read, or is not there.
            TryAgain: The connection broke.
            Broken: What came is not the file.
        """
        url = f"{self._endpoint}/{listing.repo}/resolve/{listing.commit}/{quote(file.path)}"
        # Identity: a range of a compressed form would be a range of something else.
        headers = {**self._headers(), "range": f"bytes={offset}-", "accept-encoding": "identity"}
        try:
            async with self._session.get(url, headers=headers, timeout=self._timeout) as answer:
                await self._check(answer, listing.repo, file.path)
                if answer.content_type == "text/html" and not file.path.endswith(".html"):
                    raise Broken(
                        f"{self.host} sent a web page in place of {file.path}: a proxy or a login stands between"
                    )
                skip = offset - _begins(answer, offset)
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    if skip < len(piece):
                        yield piece[skip:]
                    skip = max(0, skip - len(piece))
        except (aiohttp.ClientError, OSError) as error:
            raise TryAgain(f"{file.path}: {self._trouble(error)}") from error

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    async def _check(self, answer: aiohttp.ClientResponse, repo: str, what: str) -> None:
        if answer.status < 400:
            return
        await answer.release()
        code, page = answer.headers.get("x-error-code", ""), f"{_shown(self._endpoint)}/{repo}"
        if answer.status == 429:
            raise TryAgain(f"{self.host} limits requests from this address (429)", _retry_after_s(answer))
        if answer.status in (408, 416) or answer.status >= 500:
            raise TryAgain(f"{self.host} answered {answer.status} for {what}", _retry_after_s(answer))
        if code == "GatedRepo" or answer.status == 403:
            raise LoadError(
                f"{repo} is gated ({answer.status}): accept its terms on {page} and set {TOKEN_VARIABLE} to a "
                f"token of that account{'; the one that is set may not read it' if self._token else ''}"
            )
        if answer.status == 401 and self._token and code != "RepoNotFound":
            raise LoadError(f"{self.host} refuses the token in {TOKEN_VARIABLE} (401): make a new one")
        if answer.status == 401 or code == "RepoNotFound" or (answer.status == 404 and not code):
            hint = "" if self._token else f"; a private one needs {TOKEN_VARIABLE}"
            raise LoadError(f"{repo} ({what}) is not on {self.host} ({answer.status}): look at {page}{hint}")
        raise LoadError(f"{repo} has no {what} on {self.host} ({answer.status} {code}): look at {page}")

    def _trouble(self, error: Exception) -> str:
        """Say what happened without the URL."""
        if isinstance(error, TimeoutError):
            return f"{self.host} fell silent"
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return f"the certificate of {self.host} is not trusted"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"no connection to {error.host}:{error.port} ({error.os_error.strerror or error.os_error})"
        return f"the connection to {self.host} broke ({type(error).__name__})"


def is_offline(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment forbids asking the hub."""
    return environment.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def hub_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the hub's own folder of this user."""
    if given := environment.get("HF_HOME"):
        return Path(given)
    caches = environment.get("XDG_CACHE_HOME")
    return (
        Path(caches) if caches else Path(environment.get("HOME", "~")).expanduser() / ".cache"
    ) / "huggingface"


def _token(environment: Mapping[str, str]) -> str:
    if given := environment.get(TOKEN_VARIABLE, "").strip():
        return given
    try:
        return (hub_home(environment) / "token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _file(sibling: Mapping[str, object]) -> RemoteFile:
    path, size = str(sibling["rfilename"]), sibling["size"]
    if not isinstance(size, int) or size < 0 or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(path)
    lfs = sibling.get("lfs")
    sha256 = str(lfs["sha256"]) if isinstance(lfs, dict) else None
    git_sha1 = str(sibling["blobId"]) if sibling.get("blobId") else None
    for key, digits in ((sha256, 64), (git_sha1, 40)):
        if key is not None and not re.fullmatch(rf"[0-9a-f]{{{digits}}}", key):
            raise ValueError(path)
    return RemoteFile(path, size, sha256, git_sha1)


def _begins(answer: aiohttp.ClientResponse, offset: int) -> int:
    """Return where in the file the answer begins; a server that knows no ranges sends all of it."""
    if answer.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
    if found is None or int(found[1]) > offset:
        raise Broken("the hub sent another range than was asked for")
    return int(found[1])


def _retry_after_s(answer: aiohttp.ClientResponse) -> float:
    given = answer.headers.get("retry-after", "").strip()
    if given.isdigit():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
