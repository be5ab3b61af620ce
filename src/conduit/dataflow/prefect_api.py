"""Where Prefect's API is configured to be, and whether it answers there. Knows nothing of blocks."""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings


def api_url() -> str | None:
    """The configured address of the Prefect API."""
    return get_current_settings().api.url


def health(url: str) -> Exception | None:
    """What keeps the API at an address from answering; ``None`` when it does."""
    api = get_current_settings().api
    # Prefect's own client knows the user's certificates and keys; a new one, for a flow keeps one in its context.
    with SyncPrefectClient(
        url,
        api_key=api.key.get_secret_value() if api.key else None,
        auth_string=api.auth_string.get_secret_value() if api.auth_string else None,
    ) as client:
        return client.api_healthcheck()
