"""A pod of RunPod ends itself: REST v2, with the key that RunPod puts into the pod.

Deleting is what is wanted. Where the key may not, the action "terminate" is the same by another way, and "stop"
gives at least the GPU back: a stopped pod bills its disk only. Which of them the pod's key may is not documented.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
from pydantic import SecretStr

from gpu_server.host.base import Asked

logger = logging.getLogger(__name__)

ANSWER_S = 15.0
_REFUSED = frozenset({401, 403, 405})
_WAYS: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("DELETE", None),
    ("POST", {"action": "terminate"}),
    ("POST", {"action": "stop"}),
)


class RunPodHost:
    """This pod.

    Args:
        url: Base URL of the API, without a path.
        pod_id: Its own id.
        key: Of the API.
    """

    def __init__(self, url: str, pod_id: str, key: SecretStr) -> None:
        self._pod = f"{url.rstrip('/')}/v2/pods/{pod_id}"
        self._headers = {"authorization": f"Bearer {key.get_secret_value()}"}
        self._session: aiohttp.ClientSession | None = None
        self.name = f"RunPod pod {pod_id}"

    async def end(self) -> Asked:
        """Try each way until one is not refused. See `Host`."""
        for method, body in _WAYS:
            what = f"{method} {body['action'] if body else ''}".strip()
            status = await self._ask(method, body, what)
            if status is None:
                return "failed"
            logger.info("%s: asked to end it (%s), answered %d", self.name, what, status)
            if status == 404:
                return "gone"
            if status < 300 or status == 409:  # 409: it is ending already
                return "accepted"
            if status not in _REFUSED:
                return "failed"
        return "refused"

    async def close(self) -> None:
        """See `Host`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, body: dict[str, Any] | None, what: str) -> int | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=True)
        url = self._pod if body is None else f"{self._pod}/action"
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                self._session.request(
                    method, url, json=body, headers=self._headers, allow_redirects=False
                ) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, OSError) as error:
            logger.warning("%s: asking to end it (%s) failed: %s", self.name, what, type(error).__name__)
            return None
