"""A whole model from the hub into the cache: the files that it needs, some at a time, told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp

from gpu_server.engines.base import LoadError
from gpu_server.settings import ModelSettings
from gpu_server.weights.base import Listing, Progress, RemoteFile
from gpu_server.weights.cache import Cache, gb
from gpu_server.weights.claim import STALE_S
from gpu_server.weights.fetch import FileFetch
from gpu_server.weights.hub import Hub, is_offline
from gpu_server.weights.patience import FIRST_PAUSE_S, Patience, TryAgain
from gpu_server.weights.selection import index_of, needed, parts_of

logger = logging.getLogger(__name__)

FILES_AT_A_TIME = 4
DEFAULT_REVISION = "main"
_LOG_EVERY_S = 10.0


def hub_session() -> aiohttp.ClientSession:
    """Return a session that heeds the environment's proxies."""
    return aiohttp.ClientSession(trust_env=True, auto_decompress=True)


class Downloads:
    """Gets models that have no folder of their own.

    Args:
        cache: Where they go.
        session: Makes a session of HTTP for one download.
        first_pause_s: Of the pauses between tries.
        stale_s: How long another replica's claim counts without a sign of life.
    """

    def __init__(
        self,
        cache: Cache,
        *,
        session: Callable[[], AbstractAsyncContextManager[aiohttp.ClientSession]] = hub_session,
        first_pause_s: float = FIRST_PAUSE_S,
        stale_s: float = STALE_S,
    ) -> None:
        self._cache = cache
        self._session = session
        self._first_pause_s = first_pause_s
        self._stale_s = stale_s

    async def fetch(self, model: ModelSettings, progress: Progress) -> Path:
        """Return the folder of the model, downloaded where it is not there yet.

        Raises:
            LoadError: It cannot be had; what is there of it is kept.
        """
        repo, revision = model.source or model.model_id, model.revision or DEFAULT_REVISION
        kept = self._cache.kept(repo, revision)
        if kept is not None and (is_offline() or kept.name == revision):
            return kept
        if is_offline():
            raise LoadError(
                f"{repo} is not in {self._cache.folder}, and HF_HUB_OFFLINE forbids to ask the hub: unset it, or "
                "give `path`"
            )
        patience = Patience(progress, model.startup_timeout_s, first_pause_s=self._first_pause_s)
        async with self._session() as session:
            hub = Hub(session)
            with self._cache.guarded(repo):
                listing = await _listing(hub, repo, revision, patience, kept)
                if listing is None:
                    assert kept is not None
                    logger.warning("model %s: %s cannot be asked; using %s", repo, hub.host, kept.name)
                    return kept
                return await self._all_files(hub, listing, revision, progress, patience)

    async def _all_files(
        self, hub: Hub, listing: Listing, revision: str, progress: Progress, patience: Patience
    ) -> Path:
        def fetch(file: RemoteFile) -> FileFetch:
            return FileFetch(
                hub, self._cache, listing, file, progress=progress, patience=patience, stale_s=self._stale_s
            )

        repo, parts = listing.repo, None
        if (index := index_of(listing.files)) is not None:
            self._cache.make_room(repo, [index])
            await fetch(index).run()
            parts = parts_of(await asyncio.to_thread(self._cache.blob(repo, index).read_bytes))
        files = needed(listing.files, parts)
        missing = [file for file in files if not self._cache.has(repo, file)]
        progress.total_bytes = sum(file.size for file in files)
        for file in files:
            if file not in missing:
                progress.note(file.path, file.size)
        if missing:
            self._cache.make_room(repo, missing)
            telling = asyncio.create_task(_tell(repo, progress))
            try:
                await _several([fetch(file) for file in missing])
            finally:
                telling.cancel()
            logger.info("model %s: downloaded %s", repo, gb(sum(file.size for file in missing)))
        return self._cache.link(listing, files, revision)


async def _listing(
    hub: Hub, repo: str, revision: str, patience: Patience, kept: Path | None
) -> Listing | None:
    """Return the hub's list; None when it cannot be asked now, but an earlier answer is kept."""
    failures = 0
    while True:
        try:
            return await hub.listing(repo, revision)
        except TryAgain as trouble:
            if kept is not None:
                return None
            failures += 1
            await patience.pause(trouble, failures)


async def _several(fetches: Sequence[FileFetch]) -> None:
    """Run them, some at a time; the first that fails ends the others."""
    places = asyncio.Semaphore(FILES_AT_A_TIME)

    async def one(fetch: FileFetch) -> None:
        async with places:
            await fetch.run()

    try:
        async with asyncio.TaskGroup() as group:
            for fetch in fetches:
                group.create_task(one(fetch))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _tell(repo: str, progress: Progress) -> None:
    while True:
        before = progress.done_bytes
        await asyncio.sleep(_LOG_EVERY_S)
        done, total = progress.done_bytes, progress.total_bytes
        rate = gb(int((done - before) / _LOG_EVERY_S))
        logger.info(
            "model %s: downloaded %s of %s, %s/s",
            repo,
            gb(done),
            gb(total),
            rate,
            extra={"fields": {"model": repo, "done_bytes": done, "total_bytes": total}},
        )
