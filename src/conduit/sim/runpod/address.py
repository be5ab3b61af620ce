"""Where a simulator is reached, and the variables that say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """Where a simulator listens."""

    base_url: str

    @property
    def proxy_url(self) -> str:
        """Template of a pod's address, with ``{pod_id}`` and ``{port}``."""
        return f"{self.base_url}/proxy/{{pod_id}}/{{port}}"

    def environment(self, api_key: str) -> dict[str, str]:
        """The variables that point a process at it."""
        return {
            "CONDUIT_RUNPOD_BASE_URL": self.base_url,
            "CONDUIT_RUNPOD_PROXY_URL": self.proxy_url,
            "CONDUIT_RUNPOD_SERVERLESS_URL": f"{self.base_url}/serverless/{{endpoint_id}}/openai",
            "CONDUIT_RUNPOD_API_KEY": api_key,
        }
